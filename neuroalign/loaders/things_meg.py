"""THINGS-MEG: the preprocessed epochs of one participant."""

from pathlib import Path, PurePosixPath

import numpy as np
import xarray as xr

from neuroalign.errors import LoadError, some
from neuroalign.loaders.meg import load_epochs
from neuroalign.schema import add_history, check_responses

SUBJECTS = ("P1", "P2", "P3", "P4")
# Columns of the metadata that count sessions and runs.
SESSION, RUN = "session_nr", "run_nr"


def load_things_meg(
    folder: Path | str,
    *,
    subject: str | int,
    stimulus: str = "image_path",
    picks: str | list[str] | None = None,
    dtype: str = "float32",
    verify: bool = True,
) -> xr.DataArray:
    """Load the preprocessed epochs of one participant of THINGS-MEG.

    For the raw recordings see `correct_to_triggers`.

    Parameters
    ----------
    folder : path
        Holds ``preprocessed_P<n>-epo.fif`` and its further parts (figshare, 21215246).
    subject : str or int
        ``"P1"`` to ``"P4"``, or the number.
    stimulus : str
        Column of the epochs' metadata that names the image; of paths the file name is kept, with
        its ending, as THINGS-fMRI has it.
    picks, dtype, verify
        As in `load_epochs`.

    Returns
    -------
    DataArray (sample, neuroid, time)
        In memory. With the columns of the metadata on sample, ``session`` where it counts
        sessions, and ``run`` where it counts both; ``repeat`` from 0.

    Raises
    ------
    FileNotFoundError, LoadError, DataCorruptionError, SchemaError

    References
    ----------
    Hebart et al. (2023), eLife 12:e82580, doi:10.7554/eLife.82580.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import mne
    >>> import numpy as np
    >>> import pandas as pd
    >>> info = mne.create_info(["MLO11", "MRO11"], 200.0, "mag")
    >>> shown = pd.DataFrame({"image_path": ["cat/cat_01b.jpg", "dog/dog_02s.jpg"]})
    >>> values = 1e-13 * np.arange(40.0).reshape(2, 2, 10)
    >>> epochs = mne.EpochsArray(values, info, metadata=shown, verbose="error")
    >>> with TemporaryDirectory() as folder:
    ...     _ = epochs.save(f"{folder}/preprocessed_P1-epo.fif", verbose="error")
    ...     load_things_meg(folder, subject="P1")["stimulus"].values.tolist()
    ['cat_01b.jpg', 'dog_02s.jpg']
    """
    name = f"P{subject}" if isinstance(subject, int) else subject
    if name not in SUBJECTS:
        raise LoadError(
            f"subject: expected one of {some(SUBJECTS)}, got '{subject}'. Name one of those."
        )
    path = Path(folder) / f"preprocessed_{name}-epo.fif"
    loaded = load_epochs(
        path, stimulus=stimulus, picks=picks, subject=name, dtype=dtype, verify=verify
    )
    images = [PurePosixPath(image).name for image in loaded["stimulus"].values.tolist()]
    responses = loaded.assign_coords(stimulus=("sample", np.array(images)))
    if SESSION in responses.coords:
        visits = [f"ses-{int(number):02d}" for number in responses[SESSION].values]
        responses = responses.assign_coords(session=("sample", np.array(visits)))
        if RUN in responses.coords:
            pairs = zip(visits, responses[RUN].values, strict=True)
            runs = [f"{visit}_run-{int(number):02d}" for visit, number in pairs]
            responses = responses.assign_coords(run=("sample", np.array(runs)))
    return check_responses(add_history(responses, f"load_things_meg: {name}"))
