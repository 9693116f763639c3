"""What MATLAB files hold, and who reads it."""

from pathlib import Path
from typing import Any

import numpy as np

from neuroalign.loaders._mat import read_mat
from neuroalign.loaders._rdm_readers import find_stacks
from neuroalign.study._describe_tables import LABELLERS
from neuroalign.study._findings import title


def _say_content(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array {value.shape}, {value.dtype}"
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    if isinstance(value, dict):
        fields = [f"{name} {one.shape}" if isinstance(one, np.ndarray) else name
                  for name, one in value.items()]  # fmt: skip
        return f"struct with {', '.join(fields) or 'no fields'}"
    if isinstance(value, list):
        first = _say_content(value[0]) if value else "nothing"
        return f"{len(value)} items, the first: {first}"
    return "an object of MATLAB's own, not read"


def describe_matlab(path: Path) -> list[str]:
    """Describe the variables of a MATLAB file; raise when it is damaged."""
    content = read_mat(path)
    lines = [title(path, f"MATLAB file of {len(content)} variables, whole")]
    lines += [f"{name}: {_say_content(value)}" for name, value in content.items()]
    stacks = {name: find_stacks(value, name) for name, value in content.items()}
    rdms = [name for name, found in stacks.items() if found]
    one = rdms[:1] if len(rdms) > 1 else []
    key = "".join(f", key='{name}'" for name in one)
    if rdms:
        lines.append(f"shaped like RDMs: {', '.join(rdms)}: loaders.load_rdms(path{key})")
    return [*lines, f"other arrays: read them by scipy.io.loadmat or h5py, and {LABELLERS}"]
