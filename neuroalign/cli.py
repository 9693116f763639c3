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
        Path, typer.Argument(help="A file: .nc, .zarr, .nii, .nii.gz, or events as .tsv.")
    ],
) -> None:
    """Say what a file holds, and what is wrong with it."""
    from neuroalign.study.description import describe_file  # noqa: PLC0415

    typer.echo(printable(describe_file(path)))


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
