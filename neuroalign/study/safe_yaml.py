"""YAML without surprises: plain values only, bounded in size and depth, each key once."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from neuroalign.errors import LoadError
from neuroalign.study.description import name_kind

ENDINGS = (".yaml", ".yml")
MOST_BYTES = 1_000_000
MOST_DEPTH = 20


class Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """PyYAML's, which takes 1e-3 for text, with the numbers of YAML 1.2."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def read_yaml(path: Path | str) -> dict[str, Any]:
    """Read a mapping from a YAML file.

    Parameters
    ----------
    path : path
        At most a megabyte, 20 levels deep. Tags, anchors and aliases are not read: a study needs
        none, and they are the ways to run code or to fill the memory.

    Returns
    -------
    dict

    Raises
    ------
    LoadError
        When the file is too large or deep, is no YAML, is no mapping, or names a key twice.
    FileNotFoundError
    """
    path = Path(path)
    _check_kind(path)
    if not path.is_file():
        beside = sorted(one.name for one in path.parent.glob("*.y*ml"))
        raise FileNotFoundError(
            f"{path}: expected a study, found no such file. "
            + (f"There are: {', '.join(beside)}." if beside else "Write one in YAML.")
        )
    if path.stat().st_size > MOST_BYTES:
        raise LoadError(
            f"{path}: expected a study of at most {MOST_BYTES:,} bytes, got "
            f"{path.stat().st_size:,}. Name data by path instead of writing them out."
        )
    try:
        text = path.read_text(encoding="utf-8")
        _check_events(path, yaml.parse(text, Loader=yaml.SafeLoader))
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _check_keys(path, node)
        content = Loader(text).get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise LoadError(
            f"{path}: expected YAML, got '{reason}'. Indent with spaces, and quote text that holds "
            "': ' or begins with a sign."
        ) from error
    if not isinstance(content, dict):
        raise LoadError(
            f"{path}: expected sections such as 'data:' and 'encoding:', got "
            f"{type(content).__name__}. Begin with a section."
        )
    return content


def _check_kind(path: Path) -> None:
    """Refuse a folder, and a file of another format, by what it is."""
    kind = name_kind(path) if path.exists() else ""
    if path.is_dir():
        inside = [one.name for one in path.iterdir() if one.suffix in ENDINGS]
        inside.sort(key=lambda name: (not name.startswith("study."), name))
        hint = f"Name it: {path / inside[0]}" if inside else f"See 'neuroalign info {path}'"
        raise LoadError(
            f"{path}: expected a study, which is a YAML file, got a folder"
            f"{f' of the kind: {kind}' if kind else ''}. {hint}."
        )
    if kind and path.suffix.lower() not in ENDINGS:
        raise LoadError(
            f"{path}: expected a study, which is a YAML file, got a file of the kind: {kind}. "
            f"See 'neuroalign info {path}'."
        )


def _check_events(path: Path, events: Any) -> None:
    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            what = "an anchor or alias"
        elif getattr(event, "tag", None):
            what = f"the tag '{event.tag}'"
        elif depth > MOST_DEPTH:
            what = f"more than {MOST_DEPTH} levels"
        else:
            depth += isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent)
            depth -= isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent)
            continue
        raise LoadError(
            f"{path}: expected plain values, got {what} in line {event.start_mark.line + 1}. "
            "Write the value out."
        )


def _check_keys(path: Path, node: Any) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise LoadError(
                    f"{path}: expected each key once, got '{key.value}' again in line "
                    f"{key.start_mark.line + 1}. Rename one."
                )
            seen.add(key.value)
            _check_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_keys(path, value)


class _Plain(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
    """Writes everything out: studies are read without anchors and aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write_yaml(content: Mapping[str, Any]) -> str:
    """Write what `read_yaml` reads, in the order that is given."""
    return str(
        yaml.dump(dict(content), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=96)
    )
