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

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Neural data and brain-model alignment: load, align, features, fit, score, report.",
)

BAD_DATA, FAILED, INTERRUPTED = 3, 1, 130


def printable(text: str) -> str:
    """Escape control characters, so that labels from a file cannot steer the terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1]
        for character in text
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
) -> None:
    """Neural data and brain-model alignment."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report and the results.")] = Path(
        "neuroalign-demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of network, cortex and noise.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Run the main job on simulated cortex: which layer explains which region."""
    from neuroalign.study.demo import run_demo  # noqa: PLC0415

    layers, page = run_demo(out, seed=seed, progress=not quiet)
    typer.echo(f"{'ROI':<8} {'planted':<10} {'recovered':<10} {'mean r':>7}")
    for roi in layers["roi"].values.tolist():
        row = layers.sel(roi=roi)
        planted, best = str(row["planted_layer"].item()), str(row["best_layer"].item())
        score = float(row["score"].sel(layer=best))
        mark = "" if planted == best else "  <- differs"
        typer.echo(f"{roi:<8} {planted:<10} {best:<10} {score:>7.3f}{mark}")
    typer.echo(f"report: {page}")


@app.command()
def info(
    path: Annotated[
        Path,
        typer.Argument(
            help="A file or folder that a loader reads: images, recordings, spikes, events, BIDS."
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
    lines = [["name", *table.columns], *([str(cell) for cell in row] for row in table.itertuples())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        typer.echo(printable("  ".join(cells).rstrip()))


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


def main() -> None:
    """Run the command line; errors of ours become one line and an exit code."""
    try:
        app()
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except (NeuroalignError, FileNotFoundError) as error:
        typer.echo(printable(f"error: {error}"), err=True)
        sys.exit(BAD_DATA)
    except (ValueError, OSError) as error:
        typer.echo(printable(f"error: {error}"), err=True)
        sys.exit(FAILED)
