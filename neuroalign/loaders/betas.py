"""One response a trial: general linear models of runs of volumes (LSS, LSA).

In: responses with ``run`` and ``onset``, of voxels or of vertices, and events. Out: responses with
one sample a trial. To add a method: write its kernel, and a row in ``METHODS``.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from neuroalign.errors import LoadError, SchemaError, choose, require, some
from neuroalign.loaders.events import check_events, load_events
from neuroalign.schema import SCHEMA_VERSION, check_responses

first_level: Any = require("nilearn.glm.first_level", "fmri")
Array = npt.NDArray[Any]
Table = Path | str | pd.DataFrame
HRFS = dict.fromkeys(("glover", "spm"))
DRIFTS = {"cosine": "cosine", "polynomial": "polynomial", "none": None}
# Neuroids are fitted in blocks, in float64: a run must not be held twice.
BLOCK = 4096
# Below this share of its norm a regressor counts as explained by the others.
COLLINEAR = 1e-6
# Below this share of the largest response a trial ends before the volumes see it.
UNSEEN = 1e-2


def _invert_all(trials: Array) -> Array:
    """Least squares, all: every trial has its regressor in one model. Weights (trial, volume)."""
    left, spread, right = np.linalg.svd(trials, full_matrices=False)
    if len(spread) < trials.shape[1] or spread[-1] <= COLLINEAR * spread[0]:
        raise LoadError(
            f"events: expected fewer trials than their run can tell apart with method 'lsa', got "
            f"{trials.shape[1]} trials in {len(trials)} volumes. Use method='lss'."
        )
    weights: Array = (right.T / spread) @ left.T
    return weights


def _invert_separately(trials: Array) -> Array:
    """Least squares, separate: a model a trial, all others share one regressor.

    Each model has two regressors, so its normal equations are solved in closed form.
    """
    rest = trials.sum(axis=1, keepdims=True) - trials
    own, others = (trials**2).sum(axis=0), (rest**2).sum(axis=0)
    shared = (trials * rest).sum(axis=0)
    alone = others <= COLLINEAR**2 * own
    determinant = np.where(alone, 1, own * others - shared**2)
    bad = ~alone & (determinant <= COLLINEAR * own * others)
    if bad.any():
        raise LoadError(
            f"events: expected each trial apart from the others, got {int(bad.sum())} that the "
            f"sum of the others explains, first number {int(np.flatnonzero(bad)[0])} of its run. "
            "Drop trials or events that coincide."
        )
    weights = np.where(alone, trials / own, (trials * others - rest * shared) / determinant)
    return np.asarray(weights.T)


METHODS: dict[str, Callable[[Array], Array]] = {
    "lss": _invert_separately,
    "lsa": _invert_all,
}


def make_trial_design(
    times: Any,
    events: pd.DataFrame,
    *,
    hrf: str = "glover",
    drift: str = "cosine",
    high_pass: float = 0.01,
    drift_order: int = 1,
    confounds: Any = None,
) -> pd.DataFrame:
    """Design matrix of one run with a regressor a trial, by nilearn.

    Parameters
    ----------
    times : array (volume,)
        [s] from the start of the run.
    events : DataFrame
        ``onset`` and ``duration`` [s].
    hrf : {"glover", "spm"}
    drift : {"cosine", "polynomial", "none"}
    high_pass : float
        [Hz], of cosine drifts.
    drift_order : int
        Of polynomial drifts.
    confounds : array (volume, confound), optional

    Returns
    -------
    DataFrame (volume, regressor)
        ``trial_00000`` and so on in the order of the events, then confounds, drifts, constant.
    """
    choose(HRFS, hrf, "hrf")
    names = [f"trial_{number:05d}" for number in range(len(events))]
    table = pd.DataFrame(
        {
            "onset": events["onset"].to_numpy(dtype=float),
            "duration": events["duration"].to_numpy(dtype=float),
            "trial_type": names,
        }
    )
    with warnings.catch_warnings():
        # Impulses are meant where durations are 0; collinear trials are ours to judge.
        warnings.filterwarnings("ignore", message=".*null duration.*")
        warnings.filterwarnings("ignore", message="Matrix is singular")
        design: pd.DataFrame = first_level.make_first_level_design_matrix(
            np.asarray(times, dtype=float),
            table,
            hrf_model=hrf,
            drift_model=choose(DRIFTS, drift, "drift"),
            high_pass=high_pass,
            drift_order=drift_order,
            add_regs=None if confounds is None else np.asarray(confounds, dtype=float),
            min_onset=min(-24.0, float(table["onset"].min()) - 1),
        )
    return design


def _read_table(table: Table, stimulus: str, run: str, end: float) -> pd.DataFrame:
    if isinstance(table, pd.DataFrame):
        name = f"events of {run}"
        events = check_events(table, name, stimulus=stimulus, run_duration=end)
    else:
        name = str(table)
        events = load_events(table, stimulus=stimulus, run_duration=end)
    if not len(events):
        raise LoadError(f"{name}: expected trials, got none. Leave that run out.")
    return events


def _by_run(items: Any, runs: list[str], name: str) -> dict[str, Any]:
    """Pair what was given with the runs: by name, or in their order."""
    if isinstance(items, Mapping):
        absent = [run for run in runs if run not in items]
        if absent:
            raise LoadError(
                f"{name}: expected a table for each run, got none for {some(absent)} (it names "
                f"{some(items) or 'nothing'}). Use the names in responses['run']."
            )
        return {run: items[run] for run in runs}
    single = isinstance(items, str | Path | pd.DataFrame)
    given = [items] if single else list(items)
    if len(given) != len(runs):
        raise LoadError(
            f"{name}: expected one for each of {len(runs)} runs ({some(runs)}), got {len(given)}. "
            "Pass them in the order of the runs, or as a mapping by their names."
        )
    return dict(zip(runs, given, strict=True))


def _repetition_time(responses: xr.DataArray, tr: float | None) -> float:
    if tr is None and "sampling_rate" not in responses.attrs:
        raise SchemaError("tr: expected seconds, got none, and no sampling_rate. Pass tr=.")
    return float(tr) if tr is not None else 1 / float(responses.attrs["sampling_rate"])


def _weigh(design: pd.DataFrame, n_trials: int, method: str, run: str) -> Array:
    """Weights (trial, volume) that turn a run into one value a trial."""
    matrix = design.to_numpy(dtype=float)
    trials, nuisance = matrix[:, :n_trials], matrix[:, n_trials:]
    peak = np.abs(trials).max(axis=0)
    unseen = np.flatnonzero(peak < UNSEEN * peak.max())
    if len(unseen):
        raise LoadError(
            f"events of {run}: expected trials that the volumes see, got {len(unseen)} of "
            f"{n_trials} without a response in them, first number {unseen[0]}. "
            "Drop them, or check units and run."
        )
    left, spread, _ = np.linalg.svd(nuisance / np.linalg.norm(nuisance, axis=0).clip(1e-300), False)
    basis = left[:, spread > 1e-10 * spread[0]]
    # Weights of the trials with the nuisance taken out also take it out of the data.
    return METHODS[method](trials - basis @ (basis.T @ trials))


def _fit_run(values: Array, weights: Array) -> Array:
    betas = np.empty((len(weights), values.shape[1]), dtype=np.float32)
    for start in range(0, values.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        betas[:, part] = weights @ values[:, part].astype(np.float64)
    return betas


def estimate_betas(
    responses: xr.DataArray,
    events: Table | Sequence[Table] | Mapping[str, Table],
    *,
    method: str = "lss",
    hrf: str = "glover",
    drift: str = "cosine",
    high_pass: float = 0.01,
    drift_order: int = 1,
    confounds: Any = None,
    stimulus: str = "trial_type",
    tr: float | None = None,
    slice_time: float = 0.0,
) -> xr.DataArray:
    """Estimate the response of every neuroid to every trial.

    Parameters
    ----------
    responses : DataArray (sample, neuroid)
        One sample a volume, with ``run`` and ``onset`` [s]; lazy ones are read run by run. Not
        filtered before: drifts and confounds belong in the same model as the trials.
    events : path or DataFrame, or one for each run, or a mapping of run to one
        ``onset``, ``duration`` [s] and ``trial_type``; each row is a trial.
    method : {"lss", "lsa"}
        ``lss`` fits a model a trial, with one regressor for that trial and one for all others
        (steady where trials follow closely). ``lsa`` fits all trials in one model (unbiased).
    hrf : {"glover", "spm"}
    drift : {"cosine", "polynomial", "none"}
    high_pass : float
        Cosines below this frequency [Hz].
    drift_order : int
        Of polynomial drifts.
    confounds : array (volume, confound) for each run, or a mapping of run to array, optional
    stimulus : str
        The column of the events that names what was shown.
    tr : float, optional
        Repetition time [s]; from ``sampling_rate`` when not given.
    slice_time : float
        Where in the TR (0 to 1) a volume was acquired; 0.5 after slice timing to the middle.

    Returns
    -------
    DataArray (sample, neuroid)
        float32, one sample a trial in the order of runs and onsets, with ``stimulus``, ``run``,
        ``onset``, ``duration``, ``repeat`` and, where known, ``session`` and ``subject``. Ordinary
        least squares; units are those of the responses for a regressor of nilearn.

    Raises
    ------
    LoadError, SchemaError

    References
    ----------
    Mumford, Turner, Ashby & Poldrack (2012), NeuroImage 59, 2636-2643,
    doi:10.1016/j.neuroimage.2011.08.076: ``lss`` and ``lsa``.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from neuroalign.loaders import from_arrays
    >>> shown = {"onset": [10.0, 40.0], "duration": 2.0, "trial_type": ["cat", "dog"]}
    >>> rng = np.random.default_rng(0)
    >>> clock = {"run": ["run-01"] * 40, "onset": 2.0 * np.arange(40)}
    >>> responses = from_arrays(rng.normal(size=(40, 3)), modality="fmri", **clock)
    >>> betas = estimate_betas(responses, pd.DataFrame(shown), tr=2.0)
    >>> betas["stimulus"].values.tolist(), betas.shape
    (['cat', 'dog'], (2, 3))
    """
    choose(METHODS, method, "method")
    check_responses(responses)
    if responses.ndim != 2 or not {"run", "onset"} <= set(responses.coords):
        raise SchemaError(
            f"responses: expected (sample, neuroid) with 'run' and 'onset', got "
            f"{responses.dims} with {some(responses.coords)}. Load volumes, not trials."
        )
    if not 0 <= slice_time <= 1:
        raise ValueError(f"slice_time: expected 0 to 1, got {slice_time}. It is a share of the TR.")
    seconds = _repetition_time(responses, tr)
    run_of = responses["run"].values
    runs = list(dict.fromkeys(run_of.tolist()))
    tables = _by_run(events, runs, "events")
    nuisances = _by_run(confounds, runs, "confounds") if confounds is not None else {}
    betas: list[Array] = []
    trials: list[pd.DataFrame] = []
    for run in runs:
        rows = np.flatnonzero(run_of == run)
        onset = responses["onset"].values[rows].astype(float)
        table = _read_table(tables[run], stimulus, run, float(onset.max()) + seconds)
        design = make_trial_design(
            onset + slice_time * seconds,
            table,
            hrf=hrf,
            drift=drift,
            high_pass=high_pass,
            drift_order=drift_order,
            confounds=_check_confounds(nuisances.get(run), len(rows), run),
        )
        weights = _weigh(design, len(table), method, run)
        betas.append(_fit_run(np.asarray(responses[rows].values), weights))
        for key in ("run", "session", "subject"):
            if key in responses.coords:
                table[key] = str(responses[key].values[rows[0]])
        trials.append(table)
    table = pd.concat(trials, ignore_index=True)
    table["repeat"] = table.groupby("stimulus").cumcount()
    coords: dict[str, Any] = {}
    for name in table:
        column = table[name].to_numpy()
        coords[str(name)] = ("sample", column if column.dtype.kind in "if" else column.astype(str))
    coords |= {
        str(key): coord for key, coord in responses.coords.items() if coord.dims == ("neuroid",)
    }
    step = f"estimate_betas: {method}, hrf {hrf}, drift {drift}, {len(table)} trials"
    past = str(responses.attrs.get("history", ""))
    attrs = {key: value for key, value in responses.attrs.items() if key != "sampling_rate"}
    attrs |= {
        "kind": "responses",
        "schema_version": SCHEMA_VERSION,
        "history": f"{past}\n{step}" if past else step,
    }
    return check_responses(
        xr.DataArray(np.concatenate(betas), coords, ("sample", "neuroid"), attrs=attrs)
    )


def _check_confounds(values: Any, n: int, run: str) -> Array | None:
    if values is None:
        return None
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or len(array) != n:
        raise LoadError(
            f"confounds of {run}: expected ({n}, confounds), got shape {array.shape}. Pair them."
        )
    if not np.isfinite(array).all():
        raise LoadError(
            f"confounds of {run}: expected finite values, got {int((~np.isfinite(array)).sum())} "
            "that are not. Fill the first row, drop the other columns."
        )
    return array
