"""Records of what was done, as JSON: sealed against change, and without what is private.

In: a record. Out: a file that says of itself whether it is as it was written.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuroalign.errors import DataCorruptionError

SEAL = "seal"
HIDDEN = "***"
# Options that bear such names open doors elsewhere.
PRIVATE = re.compile(r"(?i)(^|_)(token|password|passwd|secret|api_?key|credentials?)$")
USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def _find_home() -> str:
    try:
        home = str(Path.home())
    except RuntimeError:
        return ""
    return "" if home == "/" else home


def redact(value: Any) -> Any:
    """Leave out what is nobody's business elsewhere: names and keys in addresses, the home folder.

    Parameters
    ----------
    value : any
        As JSON holds it.

    Returns
    -------
    any
        The same, with ``***`` for secrets and ``~`` for the home folder.
    """
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if PRIVATE.search(str(key)) and isinstance(one, str) else redact(one)
            for key, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(one) for one in value]
    if isinstance(value, str):
        home = _find_home()
        text = USER_IN_URL.sub(HIDDEN, value)
        return re.sub(rf"{re.escape(home)}(?=/|$|\W)", "~", text) if home else text
    return value


def bring_home(value: Any) -> Any:
    """Give paths that `redact` shortened the home folder of whoever reads them."""
    if isinstance(value, Mapping):
        return {key: bring_home(one) for key, one in value.items()}
    if isinstance(value, list):
        return [bring_home(one) for one in value]
    if isinstance(value, str) and value.startswith("~/") and _find_home():
        return _find_home() + value[1:]
    return value


def _hash(record: Mapping[str, Any]) -> str:
    text = json.dumps({key: one for key, one in record.items() if key != SEAL}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def to_text(record: Mapping[str, Any]) -> str:
    """Write a record as JSON that holds its own hash."""
    # Read back first: what JSON makes of a value is what a reader will hash.
    plain = json.loads(json.dumps(record))
    return json.dumps(plain | {SEAL: _hash(plain)}, indent=1)


def read_record(path: Path, what: str) -> dict[str, Any]:
    """Read what `to_text` wrote.

    Parameters
    ----------
    path : Path
    what : str
        What the file should be, for the message.

    Raises
    ------
    DataCorruptionError
        When it is missing, no such record, or changed since.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        whole = record[SEAL] == _hash(record)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataCorruptionError(
            f"{path}: expected {what}, got '{error}'. Run the study again: what is not whole is "
            "computed anew."
        ) from error
    if not whole:
        raise DataCorruptionError(
            f"{path}: expected {what} as it was written, got one that was changed since. Run the "
            "study again: what is not whole is computed anew."
        )
    return dict(record)
