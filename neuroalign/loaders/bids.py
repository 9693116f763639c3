"""BIDS folders, raw or derived, to responses: find runs by their names, load them in one call.

To add an ending: write its loader, and a row in ``_bids_readers.READERS``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neuroalign.errors import LoadError, choose, some
from neuroalign.loaders._bids_names import BidsRun, parse_name, same_label
from neuroalign.loaders._bids_parts import (
    drop_volumes,
    find_events,
    read_confounds,
    read_tr_of,
)
from neuroalign.loaders._bids_readers import READERS, Options
from neuroalign.loaders._files import check_id
from neuroalign.schema import add_history, check_responses

PathLike = Path | str
# What tells recordings of one task apart; other entities are versions of one recording.
RECORDING = ("ses", "acq", "ce", "dir", "run")
VERSION = ("space", "res", "den", "cohort", "desc", "rec", "echo", "part")


def _find_folder(root: PathLike, derivatives: PathLike | None) -> Path:
    root = Path(root)
    if derivatives is None:
        tried = [root]
    else:
        tried = [Path(derivatives), root / derivatives, root / "derivatives" / derivatives]
    for folder in tried:
        if folder.is_dir():
            return folder
    near = sorted(other.name for other in (root / "derivatives").glob("*") if other.is_dir())
    name = "root" if derivatives is None else "derivatives"
    raise FileNotFoundError(
        f"{tried[-1]}: expected a folder, got none. Pass {name}= as the folder that holds "
        f"'sub-*'; {root / 'derivatives'} holds {some(near) or 'nothing'}."
    )


def _space(entities: Mapping[str, str]) -> str:
    """Name a space with its resolution, as fMRIPrep does: ``MNI152NLin2009cAsym:res-2``."""
    details = [f"{key}-{entities[key]}" for key in ("cohort", "res", "den") if key in entities]
    return ":".join([entities.get("space", "func"), *details])


def _name_run(entities: Mapping[str, str]) -> str:
    labels = {key: entities[key] for key in RECORDING if key in entities}
    if labels.get("run", "").isdigit():
        labels["run"] = labels["run"].zfill(2)
    return "_".join(f"{key}-{label}" for key, label in labels.items()) or "run-01"


def list_recordings(folder: Path, subject: str) -> list[BidsRun]:
    """List every recording of a subject; hemispheres are joined, left first."""
    groups: dict[tuple[Any, ...], dict[str, tuple[Path, dict[str, str]]]] = {}
    home = folder / f"sub-{subject}"
    for path in sorted([*home.glob("func/*"), *home.glob("ses-*/func/*")]):
        parsed = parse_name(path.name)
        if parsed is None or parsed.ending not in READERS or parsed.suffix not in ("bold", ""):
            continue
        labels = dict(parsed.entities)
        hemisphere = labels.pop("hemi", "")
        group = groups.setdefault((tuple(sorted(labels.items())), parsed.ending), {})
        group[hemisphere] = (path, labels)
    runs = []
    for (_, ending), group in groups.items():
        labels = next(iter(group.values()))[1]
        runs.append(
            BidsRun(
                paths=tuple(group[side][0] for side in sorted(group)),
                name=_name_run(labels),
                subject=labels.get("sub", ""),
                task=labels.get("task", ""),
                session=labels.get("ses", ""),
                run=labels.get("run", ""),
                space=_space(labels),
                ending=ending,
                entities=labels,
            )
        )
    return runs


def _check_one_version(runs: Sequence[BidsRun]) -> None:
    """Refuse two files of one recording: only the caller knows which is meant."""
    by_name: dict[str, list[BidsRun]] = {}
    for run in runs:
        by_name.setdefault(run.name, []).append(run)
    for versions in by_name.values():
        if len(versions) == 1:
            continue
        spaces = sorted({run.space for run in runs})
        if len(spaces) > 1:
            raise LoadError(
                f"space: expected one, got {len(spaces)} that match: {some(spaces)}. Pass space=."
            )
        for key in VERSION:
            labels = sorted({run.entities.get(key, "none") for run in versions})
            if len(labels) > 1:
                raise LoadError(
                    f"{versions[0].paths[0]}: expected one file of this recording, got {key} "
                    f"{some(labels)}. Pass entities={{'{key}': '{labels[-1]}'}}."
                )
        raise LoadError(
            f"{versions[0].paths[0]}: expected one file of this recording, got "
            f"{some([run.paths[0].name for run in versions])}. Pass ending=, or remove one."
        )


def find_runs(
    root: PathLike,
    *,
    subject: str,
    task: str,
    session: str | None = None,
    run: str | int | None = None,
    space: str | None = None,
    derivatives: PathLike | None = None,
    ending: str | None = None,
    entities: Mapping[str, str] | None = None,
) -> list[BidsRun]:
    """Find the runs of one subject and task by the names of their files.

    Parameters
    ----------
    root : path
        Folder of the BIDS dataset.
    subject, task, session : str
        Labels with or without their key: ``01`` or ``sub-01``. All sessions when not given.
    run : str or int, optional
        All when not given; 1 is 01.
    space : str, optional
        ``MNI152NLin2009cAsym``, also with its resolution: ``MNI152NLin2009cAsym:res-2``.
        ``func`` names files without a space. Needed when several match.
    derivatives : path, optional
        Folder of derived data (as fMRIPrep writes it), absolute, in ``root`` or in
        ``root/derivatives``; raw data when not given.
    ending : {".nii.gz", ".nii", ".func.gii", ".dtseries.nii"}, optional
    entities : mapping of str to str, optional
        Any others: ``{"acq": "highres", "desc": "preproc"}``.

    Returns
    -------
    list of BidsRun
        In the order of their names; GIFTI hemispheres are pairs, left first.

    Raises
    ------
    FileNotFoundError
        When a folder or the subject is not there.
    LoadError
        When nothing matches, or several versions of one recording do.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     place = Path(folder) / "sub-01" / "func"
    ...     place.mkdir(parents=True)
    ...     (place / "sub-01_task-faces_run-1_bold.nii.gz").touch()
    ...     runs = find_runs(folder, subject="01", task="faces")
    >>> len(runs)
    1
    """
    folder = _find_folder(root, derivatives)
    if ending is not None:
        choose(READERS, ending, "ending")
    for name, value in (("subject", subject), ("task", task), ("session", session)):
        if value is not None and not isinstance(value, str):
            raise LoadError(
                f"{name}: expected text as in the names of files ('01'), got {value!r}. Quote it."
            )
    if entities is not None and not isinstance(entities, Mapping):
        raise LoadError(
            f"entities: expected a mapping, got {entities!r}. Write {{'desc': 'preproc'}}, say."
        )
    subject = check_id(subject.removeprefix("sub-"), "subject")
    if not (folder / f"sub-{subject}").is_dir():
        near = sorted(path.name for path in folder.glob("sub-*") if path.is_dir())
        raise FileNotFoundError(
            f"subject: expected a folder 'sub-{subject}' in {folder}, got none. "
            f"It holds {some(near) or 'no subjects'}."
        )
    wanted = {"task": task.removeprefix("task-"), **(entities or {})}
    if session is not None:
        wanted["ses"] = session.removeprefix("ses-")
    if run is not None:
        wanted["run"] = str(run).removeprefix("run-")
    left = list_recordings(folder, subject)
    if not left:
        raise LoadError(
            f"{folder / f'sub-{subject}'}: expected functional files ({', '.join(READERS)}) in "
            "'func', got none. Check root= and derivatives=."
        )
    for key, label in wanted.items():
        kept = [item for item in left if same_label(item.entities.get(key, ""), label)]
        left = _refuse_none(kept, left, key, label, [item.entities.get(key, "") for item in left])
    if ending is not None:
        kept = [item for item in left if item.ending == ending]
        left = _refuse_none(kept, left, "ending", ending, [item.ending for item in left])
    if space is not None:
        kept = [item for item in left if space in (item.space, item.space.split(":")[0])]
        left = _refuse_none(kept, left, "space", space, [item.space for item in left])
    _check_one_version(left)
    for item in left:
        if item.ending == ".func.gii" and len(item.paths) != 2:
            raise LoadError(
                f"{item.paths[0]}: expected a pair hemi-L and hemi-R, got this one alone. "
                "Put its partner beside it."
            )
    return sorted(left, key=lambda item: item.name)


def _refuse_none(
    kept: list[BidsRun], left: list[BidsRun], key: str, wanted: str, present: list[str]
) -> list[BidsRun]:
    if kept:
        return kept
    names = {"ses": "session"}
    raise LoadError(
        f"{names.get(key, key)}: expected '{wanted}' among files like {left[0].paths[0].name}, "
        f"got {some(sorted({label for label in present if label})) or 'none that name one'}. "
        "Pass one of those."
    )


def load_bids(
    root: PathLike,
    *,
    subject: str,
    task: str,
    session: str | None = None,
    runs: str | int | Sequence[str | int] | None = None,
    space: str | None = None,
    derivatives: PathLike | None = None,
    ending: str | None = None,
    entities: Mapping[str, str] | None = None,
    mask: PathLike | None = None,
    confounds: str | Sequence[str] | None = None,
    stimulus: str | None = "trial_type",
    detrend: bool = False,
    high_pass: float | None = None,
    standardize: str | None = None,
    verify: bool = True,
) -> xr.DataArray:
    """Load the runs of one subject and task from a BIDS folder.

    Parameters
    ----------
    root, subject, task, session, space, derivatives, ending, entities
        As in `find_runs`.
    runs : str, int or sequence of them, optional
        All when not given.
    mask : path or "brain", optional
        Volumes only. ``brain`` keeps the voxels that lie in ``*_desc-brain_mask.nii.gz`` of every
        run; all voxels when not given.
    confounds : {"simple", "scrubbing", "compcor", "ica_aroma"} or tuple of str, optional
        A strategy of `nilearn.interfaces.fmriprep.load_confounds_strategy`, or components such as
        ``("motion", "wm_csf")`` of `load_confounds`, with nilearn's defaults; regressed out.
        Volumes that nilearn excludes (non steady state, scrubbed) do not bear on the fit and are
        dropped; their onsets go with them.
    stimulus : str or None
        Column of ``events.tsv`` that names what was shown; None leaves events unread, for
        designs whose events are shorter than a TR (`estimate_betas` takes those). Runs of which
        none has events (rest) have no coord ``stimulus``.
    detrend, high_pass, standardize, verify
        As in `load_fmri`.

    Returns
    -------
    DataArray (sample, neuroid)
        float32; lazy, except hemispheres, and grayordinates that are cleaned. ``run``,
        ``session`` and ``subject`` are named after the file: ``ses-01_run-02``, ``ses-01``,
        ``sub-01``. The TR [s] comes from the JSON files that apply
        (closest wins), else from the header; where they disagree by more than 1 ms ``history``
        says so.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import nibabel as nib
    >>> import numpy as np
    >>> with TemporaryDirectory() as folder:
    ...     place = Path(folder) / "sub-01" / "func"
    ...     place.mkdir(parents=True)
    ...     image = nib.Nifti1Image(np.ones((2, 2, 2, 3), "float32"), np.eye(4))
    ...     image.header["pixdim"][4], image.header["xyzt_units"] = 2, 10  # [s]
    ...     nib.save(image, place / "sub-01_task-rest_bold.nii")
    ...     responses = load_bids(folder, subject="01", task="rest").load()
    >>> responses.shape, responses["onset"].values.tolist()
    ((3, 8), [0.0, 2.0, 4.0])
    """
    labels = [None] if runs is None else [runs] if isinstance(runs, str | int) else list(runs)
    found = [
        item
        for label in labels
        for item in find_runs(
            root,
            subject=subject,
            task=task,
            session=session,
            run=label,
            space=space,
            derivatives=derivatives,
            ending=ending,
            entities=entities,
        )
    ]
    endings = sorted({item.ending for item in found})
    spaces = sorted({item.space for item in found})
    for name, values in (("ending", endings), ("space", spaces)):
        if len(values) > 1:
            raise LoadError(
                f"{name}: expected one over all runs, got {some(values)}. Pass {name}=."
            )
    if confounds is not None and derivatives is None:
        raise LoadError(
            f"confounds: expected derived data, got {root} alone. Pass derivatives=, or None."
        )
    derived = _find_folder(root, derivatives)
    tr, notes = read_tr_of(found, [Path(root), *([derived] if derivatives is not None else [])])
    fits = {} if confounds is None else {run.name: read_confounds(run, confounds) for run in found}
    options: Options = {
        "events": find_events(found, Path(root)) if stimulus is not None else None,
        "stimulus": stimulus or "",
        "confounds": [values for values, _ in fits.values()] or None,
        "tr": tr,
        "runs": [run.name for run in found],
        "subject": f"sub-{found[0].subject}",
        "detrend": detrend,
        "high_pass": high_pass,
        "standardize": standardize,
        "verify": verify,
    }
    responses = choose(READERS, endings[0], "ending")(found, mask, options)
    responses = drop_volumes(
        responses, {name: kept for name, (_, kept) in fits.items()}, standardize
    )
    if any(run.session for run in found):
        session_of = {run.name: run.session and f"ses-{run.session}" for run in found}
        column = np.array([session_of[name] for name in responses["run"].values.tolist()])
        responses = responses.assign_coords(session=("sample", column))
    if found[0].space != "func":
        responses = responses.assign_attrs(space=found[0].space)
    for note in notes:
        responses = add_history(responses, note)
    return check_responses(responses)
