"""The ``neuroalign`` command.

Exit codes: 0 done, 1 the run failed, 2 wrong usage, 3 bad data, 130 interrupted.
Rooms are imported inside the commands, so that ``--help`` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

import neuroalign
from neuroalign.errors import NeuroalignError
from neuroalign.study.commands import COMMANDS, DryRun, Json, Quiet, Update
from neuroalign.study.terminal import (
    BAD_DATA,
    FAILED,
    INTERRUPTED,
    NO_PAGE,
    describe_error,
    lay_out,
    list_notes,
    print_result,
    printable,
    run_and_tell,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Neural data and brain-model alignment: load, align, features, fit, score, report.",
    epilog="Exit codes: 0 done, 1 the run failed, 2 wrong usage, 3 bad data, 130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"neuroalign {neuroalign.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False,
) -> None:
    """Neural data and brain-model alignment."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report and the results.")] = Path(
        "neuroalign-demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of network, cortex and noise.")] = 0,
    update: Update = False,
    quiet: Quiet = False,
) -> None:
    """Run the main job on simulated cortex: which layer explains which region.

    The study is in the folder, as study.yaml: edit it and run it. Example: neuroalign demo
    """
    from neuroalign.study.demo import run_demo  # noqa: PLC0415

    layers, page = run_demo(out, seed=seed, progress=not quiet, update=update)
    rows = []
    for roi in layers["roi"].values.tolist():
        row = layers.sel(roi=roi)
        planted, best = str(row["planted_layer"].item()), str(row["best_layer"].item())
        score = float(row["score"].sel(layer=best))
        rows.append(
            {
                "ROI": roi,
                "planted": planted,
                "recovered": best,
                "mean r": f"{score:>6.3f}",
                "": "" if planted == best else "<- differs",
            }
        )
    print_result(None, lay_out(rows))
    typer.echo(f"report: {page}")


@app.command()
def info(
    path: Annotated[
        Path,
        typer.Argument(
            help="A file or folder that a loader reads: images, recordings, spikes, events, BIDS; "
            "or the results of a study."
        ),
    ],
) -> None:
    """Say what a path holds, and what is wrong with it (then the exit code is 3)."""
    from neuroalign.study.description import list_findings, pick_faults  # noqa: PLC0415

    findings = list_findings(path)
    typer.echo(printable("\n".join(findings)))
    if pick_faults(findings):
        raise typer.Exit(BAD_DATA)


@app.command()
def datasets(
    folder: Annotated[Path | None, typer.Option(help="Where datasets are kept.")] = None,
) -> None:
    """List the datasets that can be named: size, licence, and what is already here."""
    from neuroalign.loaders import list_datasets  # noqa: PLC0415

    table = list_datasets(folder=folder)[["modality", "here", "size", "licence", "title"]]
    names = ["name", *table.columns]
    rows = [dict(zip(names, map(str, row), strict=True)) for row in table.itertuples()]
    print_result(None, lay_out(rows))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A dataset, as 'neuroalign datasets' lists it.")],
    include: Annotated[
        list[str] | None, typer.Option(help="Glob of paths; may be given several times.")
    ] = None,
    subject: Annotated[
        list[str] | None, typer.Option(help="A subject; may be given several times.")
    ] = None,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="You have read the terms and accept them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before large downloads.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Where datasets are kept.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Download a dataset, or what of it lacks; each file is verified."""
    from neuroalign.loaders import fetch_dataset  # noqa: PLC0415

    path = fetch_dataset(
        name,
        include=include or None,
        subjects=subject or None,
        folder=folder,
        accept_terms=accept_terms,
        yes=yes,
        progress=not quiet,
    )
    typer.echo(printable(str(path)))


for _command in COMMANDS:
    app.command()(_command)


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="The study, a YAML file.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the results.")] = None,
    dry_run: DryRun = False,
    resume: Annotated[
        bool, typer.Option(help="Keep results that are whole; without, compute all anew.")
    ] = True,
    update: Update = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a study: what is done is kept, what is corrupt is computed anew.

    The file is shown by help(neuroalign.study) in Python. Example: neuroalign run study.yaml
    """
    from neuroalign.study.config import read_study  # noqa: PLC0415

    run_and_tell(
        read_study(study), out, dry_run=dry_run, resume=resume, update=update, as_json=as_json,
        quiet=quiet,
    )  # fmt: skip


@app.command()
def converge(
    study: Annotated[Path, typer.Argument(help="A study with a section 'convergence'.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the results.")] = None,
    dry_run: DryRun = False,
    update: Update = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the section 'convergence' of a study, and what it needs; kills cost one checkpoint.

    Example: neuroalign converge study.yaml
    """
    from neuroalign.study.config import read_study  # noqa: PLC0415

    run_and_tell(
        read_study(study), out, dry_run=dry_run, update=update, as_json=as_json, quiet=quiet,
        section="convergence",
    )  # fmt: skip


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished study.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Hold every result against its hashes (exit code 3 when one does not fit)."""
    from neuroalign.study.checking import verify_study  # noqa: PLC0415

    faults = verify_study(folder)
    lines = [f"{name}: {fault or 'whole'}" for name, fault in faults.items()]
    print_result({"tasks": faults} if as_json else None, "\n".join(lines))
    if any(faults.values()):
        raise typer.Exit(BAD_DATA)


@app.command()
def reproduce(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished study.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a finished study again and compare every result (exit code 1 when one differs)."""
    from neuroalign.study.checking import reproduce_study  # noqa: PLC0415

    apart = reproduce_study(folder)
    lines = [f"{name}: {_say_difference(value)}" for name, value in apart.items()]
    # JSON has no word for infinity.
    plain = {name: str(value) if value == float("inf") else value for name, value in apart.items()}
    print_result({"tasks": plain} if as_json else None, "\n".join(lines))
    if any(apart.values()):
        raise typer.Exit(FAILED)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished study.")],
) -> None:
    """Write the page of a finished study again, from its results."""
    from neuroalign.study.runner import write_page  # noqa: PLC0415

    page = write_page(folder)
    print_result(None, f"report: {page}" if page.exists() else NO_PAGE)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is installed and what this machine brings."""
    from neuroalign.study.doctor import examine  # noqa: PLC0415

    found = examine()
    print_result(found if as_json else None, list_notes(found))


def _say_difference(value: float) -> str:
    if value == float("inf"):
        return "differs in shape, labels or missing values"
    return "the same bits" if value == 0 else f"differs by up to {value:.3g}"


def main() -> None:
    """Run the command line; errors of ours become one line and an exit code."""
    try:
        app(prog_name="neuroalign")
    except SystemExit as end:
        if end.code == INTERRUPTED:
            typer.echo("interrupted: run it again to go on", err=True)
        raise
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        bad = isinstance(error, NeuroalignError | FileNotFoundError) and not isinstance(
            error, ChildProcessError
        )
        typer.echo(printable(f"error: {describe_error(error)}"), err=True)
        sys.exit(BAD_DATA if bad else FAILED)
