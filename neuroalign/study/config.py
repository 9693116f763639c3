"""A study as a file: sections of named entries, each one call of a public function.

In: YAML. Out: a checked `Study`. Every key is known or refused with the nearest name; options are
held against the signature of what they go to before anything runs.
"""

import difflib
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from neuroalign.errors import SchemaError
from neuroalign.study.calls import (
    SECTIONS,
    check_objects,
    check_options,
    check_part,
    check_values,
    find,
    list_references,
    read_nothing,
    suggest,
)
from neuroalign.study.safe_yaml import read_yaml

# Names become names of files on any system.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


class Entry(BaseModel):
    """One call: ``call`` names it, ``with`` gives its options."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    call: str
    options: dict[str, Any] = Field(default_factory=dict, alias="with")
    each: tuple[str, ...] = ()
    report: bool | None = None

    @field_validator("each", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Run(BaseModel):
    """Where and how it runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    executor: Literal["serial", "processes", "dask", "slurm"] = "serial"
    workers: int = Field(default=2, ge=1, le=1024)
    memory_budget: str = "4GB"
    address: str | None = None
    slurm: dict[str, str | int] = Field(default_factory=dict)

    @property
    def budget(self) -> int:
        """Bytes."""
        return read_bytes(self.memory_budget)

    @property
    def at_once(self) -> int:
        """How many tasks share the memory of one machine."""
        shared = self.executor == "processes" or (self.executor == "dask" and self.address is None)
        return self.workers if shared else 1


class Study(BaseModel):
    """A whole study; ``folder`` is where its ``file`` lies, from which its paths are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = "A neuroalign study"
    seed: int = Field(default=0, ge=0)
    out: str = "results"
    data: dict[str, Entry] = Field(default_factory=dict)
    features: dict[str, Entry] = Field(default_factory=dict)
    encoding: dict[str, Entry] = Field(default_factory=dict)
    rsa: dict[str, Entry] = Field(default_factory=dict)
    similarity: dict[str, Entry] = Field(default_factory=dict)
    latents: dict[str, Entry] = Field(default_factory=dict)
    decoding: dict[str, Entry] = Field(default_factory=dict)
    convergence: dict[str, Entry] = Field(default_factory=dict)
    statistics: dict[str, Entry] = Field(default_factory=dict)
    run: Run = Field(default_factory=Run)
    folder: Path = Path()
    file: str = ""

    @field_validator(*SECTIONS)
    @classmethod
    def _read_nothing(cls, entries: dict[str, Entry], info: ValidationInfo) -> dict[str, Entry]:
        """One study, and one key for its results, however null is written."""
        return {name: _settle(entry, str(info.field_name)) for name, entry in entries.items()}

    @model_validator(mode="after")
    def _check(self) -> Self:
        read_bytes(self.run.memory_budget)
        self.check_entries()
        return self

    def entries(self) -> dict[str, tuple[str, Entry]]:
        """Every entry in order: name -> (section, entry)."""
        return {
            name: (section, entry)
            for section in SECTIONS
            for name, entry in getattr(self, section).items()
        }

    def restrict(self, section: str) -> Self:
        """The same study with the entries of one section and what they read.

        Raises
        ------
        SchemaError
            When the section is empty.
        """
        entries = self.entries()
        wanted = set(getattr(self, section))
        if not wanted:
            raise SchemaError(
                f"{section}: expected entries in this section, got none. See "
                f"help(neuroalign.{section}) for what it may call, or run the whole study."
            )
        for name, (_, entry) in reversed(entries.items()):
            if name in wanted:
                wanted |= {one.partition(".")[0] for one in list_references(entry.options)}
        return self.keep(wanted)

    def keep(self, names: set[str]) -> Self:
        """The same study with these entries alone."""
        sections = {
            section: {key: one for key, one in getattr(self, section).items() if key in names}
            for section in SECTIONS
        }
        return self.model_copy(update=sections)

    def check_entries(self) -> None:
        """Check names, calls, options and references of all entries."""
        known: dict[str, str] = {}
        entries: dict[str, Entry] = {}
        calls: dict[str, Any] = {}
        for section, rooms in SECTIONS.items():
            for name, entry in getattr(self, section).items():
                where = f"{section}.{name}"
                _check_name(name, where)
                if name in known:
                    raise SchemaError(
                        f"{where}: expected names used once in a study, got '{name}' of "
                        f"'{known[name]}' again. Rename one."
                    )
                call = find(entry.call, rooms, where)
                check_options(call, entry.options, where)
                _check_each(entry, where)
                check_objects(entry.options, where, self.folder)
                for reference in list_references(entry.options):
                    first = reference.partition(".")[0]
                    if first not in known:
                        raise SchemaError(
                            f"{where}: expected '@name' of an entry above, got '@{reference}'."
                            f"{suggest(first, known)} Entries run in the order "
                            f"{', '.join(SECTIONS)}."
                        )
                    made = entries[first]
                    if not made.each:
                        check_part(made.call, reference, where)
                known[name], entries[name] = section, entry
                calls[where] = call, entry.options
        for where, (call, options) in calls.items():
            check_values(call, options, self.folder, where)


def _settle(entry: Entry, section: str) -> Entry:
    # A call that is none is named by the checks.
    with suppress(SchemaError):
        call = find(entry.call, SECTIONS[section], section)
        return entry.model_copy(update={"options": read_nothing(call, entry.options)})
    return entry


def _check_each(entry: Entry, where: str) -> None:
    for name in entry.each:
        if not str(entry.options.get(name, "")).startswith("@"):
            raise SchemaError(
                f"{where}: expected 'each' to name an option that is an '@name', got '{name}'. "
                "The call is made once for every part of that result."
            )


def _check_name(name: str, where: str) -> None:
    if not re.fullmatch(NAME, name):
        raise SchemaError(
            f"{where}: expected a name of letters, digits, '-' and '_', up to 64, got {name!r}. "
            "Names become names of files."
        )


UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def read_bytes(text: str) -> int:
    """Read a size such as "4GB" or "500 MB".

    Raises
    ------
    SchemaError
    """
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?B?)\s*", str(text).upper())
    if found is None or found[2] not in UNITS or float(found[1]) <= 0:
        raise SchemaError(
            f"run.memory_budget: expected a size such as '4GB', got '{text}'. Give a number and "
            f"one of {', '.join(unit for unit in UNITS if unit)}."
        )
    return int(float(found[1]) * UNITS[found[2]])


def read_study(path: Path | str) -> Study:
    """Read and check a study.

    Parameters
    ----------
    path : path
        YAML; see `safe_yaml.read_yaml` for what is refused.

    Returns
    -------
    Study

    Raises
    ------
    SchemaError
        For an unknown key, a wrong type, an unknown function or option, and a reference to
        nothing; the message names the place and the nearest known name.
    LoadError, FileNotFoundError

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> text = "data: {sim: {call: loaders.simulate_linear, with: {n_samples: 20}}}"
    >>> with TemporaryDirectory() as folder:
    ...     written = Path(folder, "study.yaml").write_text(text)
    ...     list(read_study(Path(folder, "study.yaml")).entries())
    ['sim']
    """
    path = Path(path).absolute()
    return make_study(read_yaml(path), path)


def make_study(content: Mapping[str, Any], path: Path) -> Study:
    """Check the content of a study that lies, or is to lie, at a path.

    Raises
    ------
    SchemaError
        As `read_study`.
    """
    try:
        return Study.model_validate({**content, "folder": path.parent, "file": path.name})
    except ValidationError as error:
        raise SchemaError(f"{path.name}: {_describe(error)}") from error
    except SchemaError as error:
        raise SchemaError(f"{path.name}: {error}") from error


# What `make_study` says itself.
OURS = ("folder", "file")
KNOWN: dict[int, type[BaseModel]] = {1: Study, 2: Run, 3: Entry}


def _list_keys(depth: int) -> list[str]:
    """Keys that a study knows at a depth."""
    return [
        field.alias or name
        for name, field in KNOWN[min(depth, 3)].model_fields.items()
        if name not in OURS
    ]


def _describe(error: ValidationError) -> str:
    """The first fault, with its place and what is near."""
    fault = error.errors(include_url=False)[0]
    place = [str(part) for part in fault["loc"]]
    where = ".".join(place)
    if fault["type"] == "extra_forbidden":
        known = _list_keys(len(place))
        return (
            f"{where}: expected a known key, got '{place[-1]}'.{suggest(place[-1], known)} "
            f"Known here: {', '.join(known)}."
        )
    if fault["type"] == "missing":
        found = [key for key in map(str, fault["input"]) if key not in _list_keys(len(place))]
        got = ", ".join(repr(key) for key in found or map(str, fault["input"])) or "none"
        near = difflib.get_close_matches(place[-1], found, n=1)
        advice = f"Did you mean '{place[-1]}'?" if near else "Write call: room.function."
        return f"{where}: expected key '{place[-1]}', got {got}. {advice}"
    if isinstance(fault.get("ctx", {}).get("error"), SchemaError):
        return str(fault["ctx"]["error"])
    wanted = fault["msg"].removeprefix("Input should be ")
    options = re.findall(r"'([^']+)'", wanted) if fault["type"] == "literal_error" else []
    advice = suggest(str(fault["input"]), options) or " Mend it."
    return f"{where}: expected {wanted}, got {fault['input']!r}.{advice}"
