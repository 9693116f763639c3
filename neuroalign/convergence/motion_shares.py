"""What of a neuron's course needs motion, and what is said by each frame alone."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema
from neuroalign._arrays import copy_geometry, describe
from neuroalign._folds import make_folds
from neuroalign.ceilings._repeats import predict_reliability
from neuroalign.convergence._courses import (
    COURSES,
    Courses,
    Frames,
    average_trials,
    find_frames,
    read_course,
    read_window,
)
from neuroalign.convergence._trials import check_counts, name_conditions
from neuroalign.encoders.variance_partition import partition_variance
from neuroalign.errors import AlignError
from neuroalign.evaluate._halves import describe_unreliable, divide, warn_unreliable
from neuroalign.scores import pearson

Array = npt.NDArray[Any]
SPACES = ("static", "motion")


def compare_motion(
    static: xr.DataArray,
    motion: xr.DataArray,
    responses: xr.DataArray,
    *,
    window: xr.DataArray | None = None,
    estimator: Any = None,
    n_splits: int = 5,
    n_halves: int = 10,
    min_consistency: float = 0.1,
    n_bootstrap: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Divide the variance of each neuroid's course among static and motion features.

    Parameters
    ----------
    static, motion : DataArray (sample, feature, time), or (sample, feature)
        Features of a frozen encoder that sees single frames, and of one that sees change, such as
        `neuroalign.features.motion_energy`. One film a sample, named by ``stimulus``; or one
        frame, with the film as its ``run`` and ``onset`` [s].
    responses : DataArray (sample, neuroid, time)
        Single trials named by ``stimulus``, each film shown twice or more; averaged.
    window : bool DataArray (sample, time), optional
        Frames to be used, ``stimulus`` naming the films: those where things are seen, say.
    estimator : encoder with parameter ``spaces``, optional
        None: ``BandedRidge()``, which weighs both spaces for each neuroid.
    n_splits : int
        Folds of whole films.
    n_halves : int
        Random halves of the trials for the reliability.
    min_consistency : float
        Neuroids below have no normalised share.
    n_bootstrap : int
        Draws of films for the intervals.
    level : float
    seed : int

    Returns
    -------
    Dataset
        ``share`` (part, neuroid) of held-out variance with ``share_low`` and ``share_high``: unique
        to ``static``, to ``motion``, and shared, ``static&motion``; ``normalized_share``, of the
        variance that is not noise; ``reliability`` (neuroid), the latter's share. attrs count
        ``n_not_estimable``.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Warns
    -----
    NeuroalignWarning
        When neuroids are not reliable enough for a normalised share; says which.

    Notes
    -----
    Parts are those of `neuroalign.encoders.partition_variance`, fitted to averages over trials;
    normalised ones are divided by SB[corr(y1, y2)] of halves of the trials, over all frames.

    References
    ----------
    Lescroart, Stansbury & Gallant (2015), Front. Comput. Neurosci. 9:135, section 2.10.
    Yeung et al. (2024), arXiv:2406.02659: static against motion encoders of film.

    Examples
    --------
    >>> from neuroalign.encoders import BandedRidge
    >>> from neuroalign.loaders import simulate_scenes
    >>> scenes = simulate_scenes(n_conditions=12, n_neuroids=4, snr=10.0)
    >>> moved = scenes.encoder.diff("time").reindex(time=scenes.encoder["time"], fill_value=0.0)
    >>> found = compare_motion(
    ...     scenes.encoder, moved, scenes.responses["sub-01"], n_bootstrap=20,
    ...     estimator=BandedRidge(n_candidates=10),
    ... )
    >>> found["part"].values.tolist()
    ['static', 'motion', 'static&motion']
    """
    check_counts(n_splits, n_halves, min_consistency)
    names, codes = name_conditions(responses, "responses", COURSES, max(n_splits, 4))
    rng = np.random.default_rng(seed)
    target = average_trials(responses, names, codes, n_halves, rng)
    parts = [
        read_course(one, names, label, responses)
        for one, label in ((static, "static"), (motion, "motion"))
    ]
    frames = find_frames([target, *(Courses(part, []) for part in parts)])
    if window is not None:
        inside = frames.take(read_window(window, names, "window", responses))
        frames = Frames(frames.condition[inside], frames.time[inside])
    films = frames.condition
    if len(np.unique(films)) < max(n_splits, 4):
        raise AlignError(
            f"responses: expected {max(n_splits, 4)} films or more with frames known everywhere, "
            f"got {len(np.unique(films))}. Check that times, NaN and window fit together."
        )
    halves = [[frames.take(half) for half in pair] for pair in target.halves]
    alike = np.mean([pearson(one, two) for one, two in halves], axis=0)
    reliability = predict_reliability(alike, target.growth)
    found = partition_variance(
        np.concatenate([frames.take(part) for part in parts], axis=1),
        frames.take(target.full),
        estimator=estimator,
        spaces=np.repeat(SPACES, [part.shape[2] for part in parts]).tolist(),
        cv=make_folds(len(films), groups=films, n_splits=n_splits, seed=seed, shuffle_groups=True),
        groups=films,
        n_bootstrap=n_bootstrap,
        level=level,
        seed=seed,
    )
    inputs = {"static": static, "motion": motion, "responses": responses}
    return _tabulate(found, reliability, responses, min_consistency, {
        "estimator": "BandedRidge()" if estimator is None else " ".join(repr(estimator).split()),
        "n_splits": n_splits, "n_halves": n_halves, "min_consistency": min_consistency,
        "n_bootstrap": n_bootstrap, "level": level, "seed": seed,
        "n_frames": len(films), "n_films": len(np.unique(films)),
    }, inputs | ({} if window is None else {"window": window}))  # fmt: skip


def _tabulate(
    found: xr.Dataset, reliability: Array, responses: xr.DataArray, least: float,
    settings: dict[str, Any], inputs: dict[str, xr.DataArray],
) -> xr.Dataset:  # fmt: skip
    kept = {k: c for k, c in describe(responses).coords.items() if c.dims == ("neuroid",)}
    # Shares are of squared correlations: the reliability itself, not its root, bounds them.
    normalized = divide(found["share"].values, reliability, reliability, least)
    names = responses["neuroid"].values
    said = describe_unreliable(divide(reliability, reliability, reliability, least), names, least,
                               "responses")  # fmt: skip
    result = found.assign(
        normalized_share=(("part", "neuroid"), normalized), reliability=("neuroid", reliability)
    ).assign_coords(kept)
    middle = np.full(len(normalized), np.nan)
    known = np.isfinite(normalized).all(axis=0)
    if known.any():
        middle = np.median(normalized[:, known], axis=1)
    result.attrs |= {
        "method": "compare_motion",
        "headline": "normalized_share",
        "verdict": "share of explainable variance, median over neuroids: "
        + ", ".join(
            f"{part} {value:.3f}"
            for part, value in zip(result["part"].values.tolist(), middle, strict=True)
        ),
        "n_not_estimable": int((~known).sum()),
        **settings,
        **({"warnings": said} if said else {}),
        "provenance": provenance.collect(
            settings, {name: provenance.hash_array(one) for name, one in inputs.items()}
        ),
    }
    warn_unreliable(said, depth=4)
    return schema.check_estimate(copy_geometry(responses, result))
