"""The tables of events that belong to the runs of a BIDS folder."""

from collections.abc import Mapping
from pathlib import Path

from neuroalign.errors import LoadError
from neuroalign.loaders._bids_parts import find_events
from neuroalign.loaders.bids import find_runs

PathLike = Path | str


def find_bids_events(
    root: PathLike,
    *,
    subject: str,
    task: str,
    session: str | None = None,
    space: str | None = None,
    derivatives: PathLike | None = None,
    ending: str | None = None,
    entities: Mapping[str, str] | None = None,
) -> dict[str, Path]:
    """Find the events of each run by the names of files, whatever their order in the folder.

    Sorted by name, ``run-10`` stands before ``run-2``: tables that are listed so meet the wrong
    runs, and no error says it.

    Parameters
    ----------
    root, subject, task, session, space, derivatives, ending, entities
        As in `load_bids`.

    Returns
    -------
    dict of str to Path
        Run, named as in what `load_bids` gives, -> its ``events.tsv``: as `estimate_betas` takes
        them.

    Raises
    ------
    FileNotFoundError
    LoadError
        When a run has none; each is named.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     place = Path(folder) / "sub-01" / "func"
    ...     place.mkdir(parents=True)
    ...     for run in (1, 2, 10):
    ...         stem = place / f"sub-01_task-look_run-{run}"
    ...         _ = Path(f"{stem}_bold.nii.gz").write_bytes(b"")
    ...         _ = Path(f"{stem}_events.tsv").write_text("onset\\tduration\\ttrial_type\\n")
    ...     found = find_bids_events(folder, subject="01", task="look")
    >>> {run: path.name for run, path in found.items()}["run-10"]
    'sub-01_task-look_run-10_events.tsv'
    """
    runs = find_runs(
        root,
        subject=subject,
        task=task,
        session=session,
        space=space,
        derivatives=derivatives,
        ending=ending,
        entities=entities,
    )
    tables = find_events(runs, Path(root))
    if tables is None:
        raise LoadError(
            f"{root}: expected events.tsv beside the runs of task '{task}', got none. Recordings "
            "at rest have none; load them by load_bids(stimulus=None)."
        )
    return {run.name: table for run, table in zip(runs, tables, strict=True)}
