"""Dataset cards: what ``datasets/<name>/card.toml`` may say, and where the cards lie."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from itertools import product
from pathlib import Path, PurePosixPath
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from neuroalign.errors import LoadError, choose
from neuroalign.schema import MODALITIES

PACKAGE = Path(__file__).parent.parent
ROUTES = ("http", "s3", "openneuro", "dandi", "figshare", "osf", "manual", "installed")
DIGESTS = {"md5": 32, "sha1": 40, "sha256": 64}
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
RANGE = re.compile(r"([^.]*?)(\d+)\.\.(\d+)")
AXES = {"subject": "sub", "session": "ses", "run": "run"}
PORTS = [f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)]
# Names that one of the systems takes for a device.
RESERVED = {"con", "prn", "aux", "nul", *PORTS}


def _name(axis: str, value: str) -> str:
    """Name a value as BIDS does; some values, such as subj01, bear their prefix already."""
    return value if value.startswith(AXES[axis]) else f"{AXES[axis]}-{value}"


@dataclass(frozen=True)
class RemoteFile:
    """One file to download: where it goes, where it is, what it must be.

    ``digest`` is ``"md5:..."``, ``"sha1:..."`` or ``"sha256:..."``, empty where nobody tells.
    """

    path: str
    url: str
    size: int | None = None
    digest: str = ""
    subject: str = ""
    unpack: bool = False


@dataclass(frozen=True)
class Route:
    """One way to the files. ``include`` are globs, which may hold ``{subject}``."""

    kind: str
    address: str
    region: str = "us-east-1"
    include: list[str] = field(default_factory=list)
    unpack: bool = False
    note: str = ""


@dataclass(frozen=True)
class Part:
    """Files of which each must be there: a glob with axes, and the gaps that are known.

    ``unless`` names options of the loader that choose other files.
    """

    glob: str
    subject: list[str] = field(default_factory=list)
    session: list[str] = field(default_factory=list)
    run: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    unless: list[str] = field(default_factory=list)

    def expand(self) -> dict[str, tuple[str, str]]:
        """Label such as ``sub-02 ses-03 run-07`` to its subject and its glob."""
        used = [axis for axis in AXES if f"{{{axis}}}" in self.glob]
        found = {}
        for values in product(*(expand_range(getattr(self, axis)) for axis in used)):
            named = dict(zip(used, values, strict=True))
            glob = self.glob.format(**named)
            # Several files of a subject are told apart by their paths.
            alone = not {"session", "run"} & set(used)
            label = glob if alone else " ".join(_name(a, v) for a, v in named.items())
            if label not in self.absent:
                found[label] = (named.get("subject", ""), glob)
        return found


@dataclass(frozen=True)
class Expected:
    """What a whole dataset holds: counts to be shown, sizes and parts to be checked.

    ``sizes`` are dims of what is loaded; ``sizes_of`` those of one subject alone.
    """

    counts: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    sizes_of: dict[str, dict[str, int]] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True)
class Card:
    """All that is known of one dataset."""

    name: str
    title: str
    modality: str
    species: str
    licence: str
    citation: str
    terms: str
    terms_url: str
    terms_required: bool
    unverified: list[str]
    routes: list[Route]
    doi: str = ""
    size: str = "unknown"
    size_bytes: int | None = None
    loader: str = ""
    loader_path: str = "."
    loader_arguments: dict[str, Any] = field(default_factory=dict)
    manual: str = ""
    subjects: list[str] = field(default_factory=list)
    expected: Expected = field(default_factory=Expected)
    files: list[RemoteFile] = field(default_factory=list)


def expand_range(values: list[str]) -> list[str]:
    """Turn ``["day01..03"]`` into ``["day01", "day02", "day03"]``; other values stay."""
    out: list[str] = []
    for value in values:
        span = RANGE.fullmatch(value)
        if span is None:
            out.append(value)
            continue
        start, first, last = span.groups()
        out += [f"{start}{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)]
    return out


def check_relative(path: str, where: str) -> PurePosixPath:
    """Refuse a path that could leave the folder it is meant for.

    Parameters
    ----------
    path : str
        With forward slashes, as cards, listings and archives give it.
    where : str
        What the path comes from, for the message.

    Raises
    ------
    LoadError
        For absolute paths, ``..``, backslashes, drives, control characters, names of devices,
        and the names that this toolkit keeps for itself.
    """
    parts = path.removesuffix("/").split("/")
    unsafe = (
        not path
        or any(part in ("", ".", "..") for part in parts)
        or any(character in '\\:<>|"?*' or not character.isprintable() for character in path)
        or any(part.split(".")[0].lower() in RESERVED for part in parts)
        or any(part.endswith((" ", ".")) for part in parts)
        or parts[0].startswith(".neuroalign")
        or parts[-1].endswith(".part")
    )
    if unsafe:
        raise LoadError(
            f"{where}: expected a path inside the dataset's folder, got {path!r}. "
            "Do not use this source; tell its maintainers."
        )
    return PurePosixPath(*parts)


def _fits(value: Any, kind: Any) -> bool:
    origin = get_origin(kind)
    if kind is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in get_args(kind))
    if origin is list:
        return isinstance(value, list) and all(_fits(one, get_args(kind)[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(one, get_args(kind)[1]) for one in value.values()
        )
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _build(kind: Any, raw: Any, where: str) -> Any:
    """Make a dataclass of a TOML table, strictly."""
    if not isinstance(raw, Mapping):
        raise LoadError(f"{where}: expected a table, got {raw!r}. Mend the card.")
    hints = get_type_hints(kind)
    known = {entry.name: entry for entry in fields(kind)}
    values = {}
    for key, value in raw.items():
        try:
            hint = choose(hints, key, f"{where} key")
        except ValueError as error:
            raise LoadError(str(error)) from None
        inner = get_args(hint)[0] if get_origin(hint) is list else hint
        if inner in (Route, Part, RemoteFile):
            if not isinstance(value, list):
                raise LoadError(
                    f"{where}: expected [[{key}]] tables, got {value!r}. Mend the card."
                )
            values[key] = [_build(inner, one, f"{where} {key}[{i}]") for i, one in enumerate(value)]
        elif inner is Expected:
            values[key] = _build(Expected, value, f"{where} {key}")
        elif _fits(value, hint):
            values[key] = value
        else:
            shown = str(hint).replace("typing.", "") if get_origin(hint) else hint.__name__
            raise LoadError(f"{where} {key}: expected {shown}, got {value!r}. Mend the card.")
    lacks = [
        name
        for name, entry in known.items()
        if name not in values and entry.default is MISSING and entry.default_factory is MISSING
    ]
    if lacks:
        raise LoadError(f"{where}: expected the key {lacks[0]!r}, got none. Add it to the card.")
    return kind(**values)


def _check_digest(digest: str, where: str) -> None:
    kind, _, value = digest.partition(":")
    if digest and not (kind in DIGESTS and re.fullmatch(rf"[0-9a-f]{{{DIGESTS[kind]}}}", value)):
        raise LoadError(
            f"{where}: expected md5:, sha1: or sha256: and as many hexadecimal digits as it has, "
            f"got {digest!r}. Mend the card."
        )


def read_card(path: Path) -> Card:
    """Read one card and check all that it says.

    Raises
    ------
    LoadError
        Naming the card and the key.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LoadError(f"{path}: expected TOML, got: {error}. Mend the card.") from error
    card: Card = _build(Card, raw, str(path))
    if card.name != path.parent.name or not NAME.fullmatch(card.name):
        raise LoadError(
            f"{path} name: expected the folder's name in lower case letters, digits, '-' and '_', "
            f"got {card.name!r}. Rename one of the two."
        )
    if card.modality not in (*MODALITIES, "images", "geometry"):
        raise LoadError(
            f"{path} modality: expected one of the schema, got {card.modality!r}. Mend the card."
        )
    for route in card.routes:
        if route.kind not in ROUTES:
            raise LoadError(
                f"{path} routes: expected one of {', '.join(ROUTES)}, got {route.kind!r}. "
                "Mend the card."
            )
    if not card.routes:
        raise LoadError(f"{path} routes: expected at least one, got none. Mend the card.")
    for file in card.files:
        check_relative(file.path, f"{path} files")
        _check_digest(file.digest, f"{path} files '{file.path}' digest")
    if "{subject}" in card.loader_path and not card.subjects:
        raise LoadError(
            f"{path} subjects: expected names, as loader_path has {{subject}}. Mend the card."
        )
    if card.loader_path != ".":
        check_relative(card.loader_path, f"{path} loader_path")
    return card


def find_cards(package: Path = PACKAGE) -> Path:
    """Find the folder of cards: in the wheel, else in the repository that this package lies in.

    Raises
    ------
    LoadError
        When neither is there.
    """
    wheel, repository = package / "_datasets", package.parent / "datasets"
    if wheel.is_dir():
        return wheel
    # Beside an installed package "datasets" may be another project's package.
    if repository.is_dir() and (package.parent / "pyproject.toml").is_file():
        return repository
    raise LoadError(
        f"{wheel}: expected the dataset cards, got no folder. Install neuroalign again."
    )


def read_cards(folder: Path | None = None) -> dict[str, Card]:
    """Read every card, by name."""
    folder = find_cards() if folder is None else folder
    return {path.parent.name: read_card(path) for path in sorted(folder.glob("*/card.toml"))}


def describe_card(card: Card) -> list[str]:
    """Lines that say all a card says."""
    access = "agreement required" if card.terms_required else "no agreement required"
    lines = [
        f"{card.name}: {card.title}",
        f"modality: {card.modality} ({card.species})",
        f"size: {card.size}",
        f"licence: {card.licence}",
        f"terms: {card.terms} [{access}] {card.terms_url}".rstrip(),
        f"citation: {card.citation}",
        f"doi: {card.doi or 'not stated'}",
        f"loader: {card.loader or 'none; load the files with the loader of their format'}",
    ]
    lines += [f"expected {key}: {value}" for key, value in card.expected.counts.items()]
    lines += [f"route: {r.kind} {r.address} {r.note}".rstrip() for r in card.routes]
    lines += [f"by hand: {card.manual}"] if card.manual else []
    return lines + [f"not verified: {fact}" for fact in card.unverified]
