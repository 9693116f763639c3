"""What a study may call: public functions and classes of the rooms, by dotted name.

In: ``"evaluate.cross_validate"`` and its options as YAML holds them. Out: the callable, and options
checked against its signature. Nothing outside the rooms' public names can be reached.
"""

import difflib
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from neuroalign import convergence
from neuroalign.errors import SchemaError, choose
from neuroalign.loaders import load_events

# Section of a study -> rooms whose functions it may call.
SECTIONS: dict[str, tuple[str, ...]] = {
    "data": ("loaders", "align", "storage", "study"),
    "features": ("features", "align", "loaders", "storage", "study"),
    "encoding": ("evaluate", "align", "encoders", "ceilings", "study"),
    "rsa": ("rsa",),
    "similarity": ("similarity", "topology", "geometry"),
    "latents": ("latents", "study"),
    "decoding": ("decoders",),
    "convergence": ("convergence",),
    "statistics": ("stats", "ceilings", "evaluate"),
}
# What may be called of modules that are no rooms -> where it is.
DIRECT: dict[str, str] = {
    "storage.load": "neuroalign.storage",
    "study.chain": "neuroalign.study.pieces",
    "study.cut_images": "neuroalign.study.pieces",
    "study.fit_latents": "neuroalign.study.pieces",
    "study.select_samples": "neuroalign.study.pieces",
    "study.summarise_layers": "neuroalign.study.pieces",
}
# Rooms whose objects may stand inside options, as ``{use: encoders.Ridge, alphas: 1.0}``.
OBJECTS = ("encoders", "models", "latents", "features", "decoders", "rsa", "align", "study")


def suggest(name: str, known: Any) -> str:
    """Say the nearest known name, as the end of a message."""
    near = difflib.get_close_matches(name, [*map(str, known)], n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def find(name: str, rooms: tuple[str, ...], where: str) -> Callable[..., Any]:
    """Find a public function or class.

    Parameters
    ----------
    name : str
        ``room.name``, such as ``"encoders.Ridge"``; deeper for rooms in rooms.
    rooms : tuple of str
        Rooms that may be named here.
    where : str
        Place in the study, for the message.

    Returns
    -------
    callable

    Raises
    ------
    SchemaError
        For a name that is not public, or of another room.
    """
    room, _, rest = name.partition(".")
    if room in rooms and name in DIRECT:
        return getattr(import_module(DIRECT[name]), rest)  # type: ignore[no-any-return]
    if room not in rooms or not rest:
        raise SchemaError(
            f"{where}: expected a function of {', '.join(rooms)}, got '{name}'. Write it as "
            f"'{rooms[0]}.name'.{suggest(room, rooms)}"
        )
    thing: Any = import_module(f"neuroalign.{room}")
    direct = [one.removeprefix(f"{room}.") for one in DIRECT if one.startswith(f"{room}.")]
    for part in rest.split("."):
        # Studies do not run studies: of what is no room, only the rows of the table.
        public = direct or getattr(thing, "__all__", [])
        if part not in public:
            raise SchemaError(
                f"{where}: expected a public name of '{room}', got '{name}'."
                f"{suggest(part, public)} See help(neuroalign.{room})."
            )
        thing = getattr(thing, part)
    if not callable(thing):
        raise SchemaError(f"{where}: expected something to call, got '{name}', a table. Name one.")
    return thing  # type: ignore[no-any-return]


def check_options(call: Callable[..., Any], options: Mapping[str, Any], where: str) -> None:
    """Check that options are arguments of a callable, and that none it needs is missing.

    Raises
    ------
    SchemaError
    """
    known = inspect.signature(call).parameters
    variable = any(one.kind is one.VAR_KEYWORD for one in known.values())
    for name in options:
        if name not in known and not variable:
            raise SchemaError(
                f"{where}: expected options of {call.__name__}, got '{name}'."
                f"{suggest(name, known)} It takes: {', '.join(known)}."
            )
    missing = [
        name
        for name, one in known.items()
        if one.default is one.empty
        and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        and name not in options
    ]
    if missing:
        raise SchemaError(
            f"{where}: expected all that {call.__name__} needs, missing {', '.join(missing)}. "
            "Give values, or '@name' of an entry above."
        )


# What may stand for null, which the command line calls 'none' and Python None.
NOTHING = ("none", "None")
# Options that may be null, and where 'none' is a row of a table that says something else.
KEPT = ("find_gradients.affinity",)


def read_nothing(call: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Take ``none`` and ``None`` for null where a callable takes None.

    Parameters
    ----------
    call : callable
    options : mapping
        As YAML holds them, with objects inside.

    Returns
    -------
    dict
    """
    known = inspect.signature(call).parameters
    null = [
        name
        for name, one in known.items()
        if NoneType in get_args(one.annotation) and f"{call.__name__}.{name}" not in KEPT
    ]
    return {
        name: None if name in null and value in NOTHING else _read_inside(value)
        for name, value in options.items()
    }


def _read_inside(value: Any) -> Any:
    """The same for the objects inside an option; what cannot be found is named by the checks."""
    if isinstance(value, list):
        return [_read_inside(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    inside = {key: _read_inside(one) for key, one in value.items()}
    if isinstance(value.get("use"), str):
        with suppress(SchemaError):
            return read_nothing(find(value["use"], OBJECTS, "use"), inside)
    return inside


# Calls whose Dataset has known variables; its coords, which may also be named, are not known.
CEILING = ("ceiling", "ceiling_r", "lower", "upper")
PARTS: dict[str, tuple[str, ...]] = {
    "align.match": ("features", "responses"),
    "loaders.simulate_linear": ("features", "responses", "weights", "reliability"),
    "ceilings.split_half": CEILING,
    "ceilings.ncsnr": (*CEILING, "ncsnr"),
    "ceilings.explainable_variance": (
        *CEILING, "explainable_variance", "explainable_variance_corrected"
    ),
    "ceilings.signal_power": (*CEILING, "signal_power", "signal_power_se", "noise_power"),
}  # fmt: skip


def check_part(call: str, reference: str, where: str) -> None:
    """Refuse a part that is nearly one that a call is known to give: it is misspelt.

    Raises
    ------
    SchemaError
    """
    name, _, part = reference.partition(".")
    known = PARTS.get(call, ())
    if part not in known and difflib.get_close_matches(part, known, cutoff=0.75):
        raise SchemaError(
            f"{where}: expected a part that '{name}' ({call}) has, got '@{reference}'."
            f"{suggest(part, known)} It has: {', '.join(known)}."
        )


# Types that no text stands for.
NUMBERS = {bool, int, float, NoneType}


def check_values(
    call: Callable[..., Any], options: Mapping[str, Any], folder: Path, at: str
) -> None:
    """Check that text stands where text may stand, and that files are named as files.

    A path in plain text would be read from wherever the study is run, and its file could change
    without a result being computed anew. Folders may be named so by their absolute path: some
    are too large to be hashed.

    Parameters
    ----------
    call : callable
    options : mapping
        Checked by `check_options`.
    folder : Path
        From which paths are read.
    at : str
        Place in the study, for the message.

    Raises
    ------
    SchemaError
    """
    known = inspect.signature(call).parameters
    for name, value in options.items():
        kind: Any = known[name].annotation if name in known else Any
        # What a function takes and gives is no choice of types.
        types = set() if get_origin(kind) is Callable else set(get_args(kind))
        types = types or {kind}
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str) or text.startswith("@"):
                continue
            there = (folder / text).is_file() or Path(text).is_file()
            # A label may have the name of a file; one that ends in .nii is none.
            file = there and (Path in types or (Any in types and Path(text).suffix != ""))
            if file or (Path in types and not Path(text).is_absolute()):
                raise SchemaError(
                    f"{at}.{name}: expected {{path: '{text}'}}, or {{glob: ...}} for several "
                    f"files, got the plain text '{text}'. Write it so: paths are then read from "
                    "the study's folder, and a changed file is seen."
                )
            if types <= NUMBERS:
                wanted = "true or false" if bool in types else "a number"
                advice = "Take quotes away" if _is_quoted(text) else f"Give {wanted}"
                raise SchemaError(
                    f"{at}.{name}: expected {wanted}, got the text '{text}'. {advice}."
                )


def _is_quoted(text: str) -> bool:
    """Tell whether a text would be a number or a truth without its quotes."""
    try:
        float(text)
    except ValueError:
        return text.lower() in ("true", "false", "null")
    return True


def _find_one(pattern: str, folder: Path) -> list[Path]:
    path = folder / pattern
    return [path] if path.exists() else []


def _find_many(pattern: str, folder: Path) -> list[Path]:
    return sorted(folder.glob(pattern))


# Key of a mapping in options -> how the files that it names are found.
FILES: dict[str, Callable[[str, Path], list[Path]]] = {
    "path": _find_one,
    "glob": _find_many,
    "stimuli": _find_many,
    "events": _find_many,
    "checkpoints": _find_many,
}
# Keys that stand beside the kind: those that must, those that may.
BESIDE: dict[str, tuple[set[str], set[str]]] = {"checkpoints": ({"model"}, {"pattern"})}


# What is given to a call in the place of the files that were found.
FORMS: dict[str, Callable[..., Any]] = {
    "path": lambda found: found[0],
    "glob": list,
    "stimuli": lambda found: {path.stem: path for path in found},
    "events": lambda found: [load_events(path) for path in found],
    "checkpoints": lambda found, **beside: convergence.list_checkpoints(found, **beside),
}


def read_files(value: Any) -> tuple[str, str] | None:
    """Tell ``{path: ...}`` and the other kinds of ``FILES``: (kind, pattern)."""
    kinds = [key for key in value if key in FILES] if isinstance(value, Mapping) else []
    if len(kinds) == 1 and isinstance(value[kinds[0]], str):
        must, may = BESIDE.get(kinds[0], (set(), set()))
        if must <= set(value) - {kinds[0]} <= must | may:
            return str(kinds[0]), value[kinds[0]]
    return None


def find_files(value: Any, folder: Path, where: str) -> list[Path]:
    """List every file or folder that options name.

    Raises
    ------
    FileNotFoundError
        With the nearest names, where a pattern finds nothing.
    """
    named = read_files(value)
    if named is not None:
        found = FILES[named[0]](named[1], folder)
        if not found:
            place = (folder / named[1]).parent
            beside = [one.name for one in place.iterdir()] if place.is_dir() else []
            raise FileNotFoundError(
                f"{where}: expected files at '{named[1]}' in {folder}, got none."
                f"{suggest(Path(named[1]).name, beside)} Paths are read from the study's folder."
            )
        return found
    if isinstance(value, Mapping) and isinstance(value.get("checkpoints"), str):
        raise SchemaError(
            f"{where}: expected {{checkpoints: 'files', model: {{use: models.name}}}}, got "
            f"{', '.join(map(str, value))}. The files hold weights alone: say which network takes "
            "them."
        )
    parts = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list):
        return [path for part in parts for path in find_files(part, folder, where)]
    return []


def check_objects(value: Any, where: str, folder: Path = Path()) -> None:
    """Check every ``{use: ...}`` inside options."""
    if isinstance(value, Mapping):
        rest = {key: one for key, one in value.items() if key != "use"}
        if "use" in value:
            made = find(str(value["use"]), OBJECTS, where)
            check_options(made, rest, where)
            check_values(made, rest, folder, where)
        for key, one in rest.items():
            check_objects(one, f"{where}.{key}", folder)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            check_objects(one, f"{where}[{number}]", folder)


def list_references(value: Any) -> list[str]:
    """Names of other entries (``"@name"``, ``"@name.part"``) inside options, without the @."""
    if isinstance(value, str):
        return [value[1:]] if value.startswith("@") else []
    parts = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list):
        return [name for part in parts for name in list_references(part)]
    return []


def build(value: Any, lookup: Callable[[str], Any], folder: Path) -> Any:
    """Put results, files and objects in the place of what stands for them.

    Parameters
    ----------
    value : any
        Options as YAML holds them.
    lookup : callable
        ``"name"`` or ``"name.part"`` -> result.
    folder : Path
        From which paths are read.

    Returns
    -------
    any
        ``{path: p}`` becomes a Path, ``{glob: g}`` a sorted list of them, ``{stimuli: g}`` a
        mapping of their stems to them, ``{events: g}`` a list of tables of events,
        ``{checkpoints: g, model: {use: ...}}`` a mapping of training steps to networks, and
        ``{use: room.name, ...}`` an object.
    """
    named = read_files(value)
    if named is not None:
        found = find_files(value, folder, named[1])
        beside = {key: build(one, lookup, folder) for key, one in value.items() if key != named[0]}
        return choose(FORMS, named[0], "files")(found, **beside)
    if isinstance(value, str) and value.startswith("@"):
        return lookup(value[1:])
    if isinstance(value, list):
        return [build(one, lookup, folder) for one in value]
    if isinstance(value, Mapping):
        made = {key: build(one, lookup, folder) for key, one in value.items() if key != "use"}
        return find(str(value["use"]), OBJECTS, "use")(**made) if "use" in value else made
    return value
