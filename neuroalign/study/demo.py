"""The main job on embedded data: which layer of a network explains which cortical region.

Images come from installed wheels, the network is seeded and untrained, and the cortex is simulated
on fsaverage5, so that the report can be held against the truth that was planted. It is a study like
any other: its ``study.yaml`` lies in the folder, to be read, edited and run.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
import xarray as xr

from neuroalign import storage
from neuroalign.errors import LoadError
from neuroalign.study.pieces import summarise_layers
from neuroalign.study.results import Results
from neuroalign.study.runner import read_study_folder, run_study
from neuroalign.study.writing import write_study

__all__ = ["PLANTED", "describe_demo", "run_demo", "summarise_layers"]

PLANTED = {
    "V1": "stages.stage1",
    "V2": "stages.stage2",
    "V4": "stages.stage3",
    "LO": "stages.stage4",
}
SUMMARY = "layers"


def describe_demo(
    *, n_images: int, n_neuroids_per_roi: int, n_permutations: int, seed: int
) -> dict[str, Any]:
    """The content of the study: see `run_demo` for what is given.

    Examples
    --------
    >>> study = describe_demo(n_images=8, n_neuroids_per_roi=5, n_permutations=10, seed=0)
    >>> sorted(study)
    ['encoding', 'features', 'out', 'seed', 'title']
    """
    network = {"use": "models.SmallConvNet", "seed": seed}
    encoder = {
        "use": "study.chain",
        "steps": [
            {"use": "features.PrincipalComponents", "n_components": min(100, n_images // 2)},
            {"use": "encoders.Ridge"},
        ],
    }
    return {
        "title": "neuroalign demo",
        "seed": seed,
        "out": ".",
        "features": {
            "images": {"call": "study.cut_images", "with": {"n_images": n_images}},
            "activity": {
                "call": "features.extract",
                "with": {
                    "model": network,
                    "stimuli": "@images",
                    "layers": list(PLANTED.values()),
                    "batch_size": 32,
                },
            },
            "cortex": {
                "call": "loaders.simulate_layered_cortex",
                "with": {
                    "layers": "@activity",
                    "roi_layers": dict(PLANTED),
                    "n_neuroids_per_roi": n_neuroids_per_roi,
                },
            },
            "averaged": {"call": "align.average_repeats", "with": {"responses": "@cortex"}},
            "matched": {
                "call": "align.match",
                "with": {"features": "@activity", "responses": "@averaged"},
                "each": "features",
            },
        },
        "encoding": {
            # Models are fitted to averages over repeats, which is what this ceiling bounds.
            "ceiling": {
                "call": "ceilings.split_half",
                "with": {"responses": "@cortex"},
                "report": False,
            },
            "encoding": {
                "call": "evaluate.cross_validate",
                "with": {
                    "encoder": encoder,
                    "features": "@matched.features",
                    "responses": "@matched.responses",
                    "group": "run",
                    "ceiling": "@ceiling.ceiling",
                    "n_permutations": n_permutations,
                },
                "each": ["features", "responses"],
            },
            SUMMARY: {
                "call": "study.summarise_layers",
                "with": {"results": "@encoding", "planted": dict(PLANTED)},
            },
        },
    }


def run_demo(
    folder: Path | str,
    *,
    n_images: int = 240,
    n_neuroids_per_roi: int = 150,
    n_permutations: int = 100,
    seed: int = 0,
    progress: bool = True,
    update: bool = False,
    say: Callable[[str], None] | None = None,
) -> tuple[xr.Dataset, Path]:
    """Load, align, extract, fit, score and report, without any download.

    Parameters
    ----------
    folder : path
        Where the study, its results and the report go; made when absent. What is done there
        already is kept.
    n_images, n_neuroids_per_roi, n_permutations : int
        Size of the study.
    seed : int
        Seed of images, network, cortex, noise and permutations.
    progress : bool
        Say what is done.
    update : bool
        Replace a study of other sizes or seed in the folder.
    say : callable, optional
        Takes the lines of the progress, instead of the standard output.

    Returns
    -------
    Dataset
        The comparison of layers, see `summarise_layers`; also kept as ``layers.nc``.
    Path
        The HTML report.

    Raises
    ------
    LoadError
        When a file stands in the place of the folder.
    NeuroalignError
        When the folder holds another study.

    Examples
    --------
    Where a file stands in the way nothing is done:

    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile() as file:
    ...     try:
    ...         run_demo(file.name)
    ...     except LoadError as error:
    ...         print(str(error).split(": ", 1)[1])
    expected a folder for results, got a file. Choose another.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise LoadError(f"{folder}: expected a folder for results, got a file. Choose another.")
    content = describe_demo(
        n_images=n_images,
        n_neuroids_per_roi=n_neuroids_per_roi,
        n_permutations=n_permutations,
        seed=seed,
    )
    study = write_study(content, folder.absolute(), update=update)
    tell = (say or typer.echo) if progress else None
    starts = say is None and sys.stdout.isatty()
    page = run_study(study, folder, say=tell, update=update, starts=starts)
    _, tasks = read_study_folder(folder)
    made = next(task for task in tasks if task.name == SUMMARY)
    summary: xr.Dataset = Results(folder).read(made).compute()
    storage.save(summary, folder / "layers.nc", overwrite=True)
    return summary, page
