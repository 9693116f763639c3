"""What commands print, and the road that all commands take that run a study.

Text from files is escaped; one JSON object is printed where asked for, and nothing beside it.
Rooms are imported inside functions, so that ``--help`` answers at once.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from neuroalign.study.config import Study

BAD_DATA, FAILED, INTERRUPTED = 3, 1, 130
NO_PAGE = "no report: no entry has a result that it draws, see 'report: true'"


def printable(text: str) -> str:
    """Escape control characters, so that labels from a file cannot steer the terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1]
        for character in text
    )


def print_result(content: object, text: str) -> None:
    """Print one JSON object where asked for, else text."""
    typer.echo(json.dumps(content) if content is not None else printable(text))


def tell_progress(line: str) -> None:
    """Say how far a run is beside its results, so that these alone go into a pipe."""
    typer.echo(printable(line), err=True)


def lay_out(rows: list[dict[str, str]]) -> str:
    """Lay out rows as a table whose columns stand under their names."""
    if not rows:
        return "nothing"
    lines = [
        list(rows[0]),
        *([" ".join(str(cell).split()) for cell in row.values()] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def describe_error(error: BaseException) -> str:
    """The message alone where it is ours to read, else with the kind of error; one line."""
    from neuroalign.errors import NeuroalignError  # noqa: PLC0415

    plain = isinstance(error, NeuroalignError | ValueError | OSError)
    text = str(error) if plain else f"{type(error).__name__}: {error}"
    notes = (note for note in getattr(error, "__notes__", ()) if "\n" not in note)
    return " ".join("".join([text, *(f" ({note})" for note in notes)]).split())


def run_and_tell(
    study: "Study",
    out: Path | None = None,
    *,
    dry_run: bool = False,
    resume: bool = True,
    update: bool = False,
    as_json: bool = False,
    quiet: bool = False,
    section: str | None = None,
) -> None:
    """Show the plan of a study, or run it, and say what came out.

    Parameters
    ----------
    study : Study
    out : path, optional
        Instead of the folder that the study names.
    dry_run : bool
        Show the plan and stop.
    resume : bool
        Keep results that are whole.
    update : bool
        See `neuroalign.study.records`.
    as_json, quiet : bool
    section : str, optional
        Only the tasks of this section and what they need.
    """
    from neuroalign.report.verdicts import state_verdict  # noqa: PLC0415
    from neuroalign.study import runner  # noqa: PLC0415
    from neuroalign.study._numbers import pick_numbers  # noqa: PLC0415

    if dry_run:
        steps = runner.plan_study(study, out, section=section)
        rows = [runner.describe_step(step) for step in steps]
        print_result({"tasks": rows} if as_json else None, lay_out(rows))
        return
    if not resume:
        runner.forget(study, out, section=section)
    page = runner.run_study(
        study,
        out,
        say=None if quiet or as_json else tell_progress,
        update=update,
        section=section,
        # Who watches sees what is slow; what goes into a pipe or a file stays short.
        starts=sys.stderr.isatty(),
    )
    drawn = page.is_file()
    shown: dict[str, Any] = {}
    if drawn and (as_json or not quiet):
        shown = runner.list_shown(*runner.read_study_folder(page.parent), page.parent)
    verdicts = {name: " ".join(state_verdict(one).split()) for name, one in shown.items()}
    if as_json:
        results = {
            name: {"verdict": said, "numbers": pick_numbers(shown[name])}
            for name, said in verdicts.items()
        }
        print_result({"report": str(page) if drawn else None, "results": results}, "")
        return
    for name, said in verdicts.items():
        print_result(None, f"{name}: {said}")
    print_result(None, f"report: {page}" if drawn else NO_PAGE)


def list_notes(found: dict[str, Any]) -> str:
    """Lay out what the doctor found."""
    lines = []
    for key, value in found.items():
        if key == "extras":
            continue
        pairs = ", ".join(f"{a} {b}" for a, b in value.items()) if isinstance(value, dict) else ""
        lines.append(f"{key}: {pairs or value}")
    for name, there in found["extras"].items():
        way = "there" if there else f"pip install 'neuroalign[{name}]'"
        lines.append(f"extra {name}: {way}")
    return "\n".join(lines)
