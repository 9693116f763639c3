"""Stories heard by many (Narratives: Nastase et al. 2021, OpenNeuro ds002345), through BIDS."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from neuroalign.loaders.bids import load_bids

PathLike = Path | str


def load_narratives(
    root: PathLike,
    *,
    subject: str,
    task: str,
    runs: Sequence[str | int] | None = None,
    space: str | None = "MNI152NLin2009cAsym",
    derivatives: PathLike | None = "fmriprep",
    ending: str | None = None,
    entities: Mapping[str, str] | None = None,
    mask: PathLike | None = "brain",
    confounds: str | Sequence[str] | None = None,
    detrend: bool = False,
    high_pass: float | None = None,
    standardize: str | None = None,
) -> xr.DataArray:
    """Load the runs of one listener and story.

    Parameters
    ----------
    root : path
        Root of ds002345.
    subject : str
        ``001`` or ``sub-001``.
    task : str
        The story: ``pieman``, ``tunnel``, ``milkyway``...
    runs, space, derivatives, ending, entities, mask, confounds, detrend, high_pass, standardize
        As in `load_bids`; for raw data pass ``derivatives=None, space=None, mask=None``, for
        surfaces their ``space`` and ``mask=None``.

    Returns
    -------
    DataArray (sample, neuroid)
        As `load_bids` gives it, with ``onset`` [s] from the first volume. The dataset's events
        tell when the story begins: shift the words of its transcript by that.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    Notes
    -----
    Unverified against the data: the names of the derivatives. Other names are named in the error
    of `find_runs`; pass ``space``, ``entities`` or ``ending`` for them.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import nibabel as nib
    >>> import numpy as np
    >>> with TemporaryDirectory() as folder:
    ...     place = Path(folder) / "sub-001/func"
    ...     place.mkdir(parents=True)
    ...     image = nib.Nifti1Image(np.ones((2, 2, 2, 3), "float32"), np.eye(4))
    ...     image.header["pixdim"][4], image.header["xyzt_units"] = 1.5, 10  # [s]
    ...     nib.save(image, place / "sub-001_task-pieman_run-1_bold.nii")
    ...     raw = {"derivatives": None, "space": None, "mask": None}
    ...     responses = load_narratives(folder, subject="001", task="pieman", **raw).load()
    >>> responses["onset"].values.tolist()
    [0.0, 1.5, 3.0]
    """
    return load_bids(
        root,
        subject=subject,
        task=task,
        runs=runs,
        space=space,
        derivatives=derivatives,
        ending=ending,
        entities=entities,
        mask=mask,
        confounds=confounds,
        stimulus=None,
        detrend=detrend,
        high_pass=high_pass,
        standardize=standardize,
    )
