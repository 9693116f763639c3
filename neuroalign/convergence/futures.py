"""Which account of the future a brain follows: predictors, and other animals, against responses."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from neuroalign import provenance, schema
from neuroalign._arrays import copy_geometry
from neuroalign._folds import make_folds
from neuroalign.ceilings._repeats import predict_reliability
from neuroalign.convergence._correlation import draw_weights, find_bounds, state
from neuroalign.convergence._courses import (
    COURSES,
    Courses,
    Frames,
    average_trials,
    check_times,
    find_frames,
    read_course,
    read_window,
)
from neuroalign.convergence._futures import correlate_halves, draw_orders
from neuroalign.convergence._trials import check_counts, find_rows, name_conditions
from neuroalign.encoders.ridge import Ridge
from neuroalign.errors import AlignError, SchemaError, some
from neuroalign.evaluate._halves import (
    describe_unreliable,
    divide,
    warn_unreliable,
)
from neuroalign.stats.permutations import count_reached, permutation_p

Array = npt.NDArray[Any]
EVERYWHERE = "all"
# Of neuroids with a score, for their median to say something of all.
LEAST_SHARE = 0.5


def compare_futures(
    features: Mapping[str, xr.DataArray],
    responses: xr.DataArray,
    *,
    others: Mapping[str, xr.DataArray] | None = None,
    windows: Mapping[str, xr.DataArray] | None = None,
    encoder: Any = None,
    n_splits: int = 5,
    n_halves: int = 10,
    min_consistency: float = 0.1,
    n_permutations: int = 0,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Predict the course of responses to films from each predictor, corrected for noise.

    Parameters
    ----------
    features : mapping of str to DataArray (sample, feature, time)
        Predictor -> latents or states, one film a sample, named by ``stimulus``; of
        `neuroalign.models.FuturePredictor.simulate`, say.
    responses : DataArray (sample, neuroid, time)
        Single trials of one subject named by ``stimulus``, each film shown twice or more. NaN at
        frames without data, those after the end of a film for instance: frames that lack anything
        in any array are left out.
    others : mapping of str to DataArray (sample, neuroid, time), optional
        Other subject -> trials of the same films. Their neuroids are predictors too: the
        consistency between animals, to be read as a ceiling.
    windows : mapping of str to bool DataArray (sample, time), optional
        Name -> frames scored by themselves, ``stimulus`` naming the films: those of occlusion, for
        instance. Maps are fitted to all frames; ``all`` is always scored.
    encoder : estimator, optional
        None: ``Ridge()``. Its inner folds hold whole films together, as those of any estimator do
        whose ``fit`` takes ``groups``.
    n_splits : int
        Splits of films into train and test. Frames of one film are never divided.
    n_halves : int
        Random halves of the trials; half correlations are averaged before the division.
    min_consistency : float
        Neuroids below it, in responses or predictions, have no corrected score. Where responses
        are consistent and predictions are not, the predictor says nothing: read ``raw``.
    n_permutations : int
        0 skips the test; 1000 is usual. Predictions of held-out films change places; frames keep
        their times. What all films have in common, such as a ball that moves on to the right, is
        in the null too.
    n_resamples : int
        Bootstrap draws of neuroids.
    level : float
    seed : int
    progress : bool

    Returns
    -------
    Dataset
        ``corrected`` (predictor, window, neuroid), never clipped; ``raw``, before the division;
        ``prediction_consistency``, ``response_consistency`` (window, neuroid); ``split_raw``
        (split, ...). ``median`` (predictor, window) over neuroids with ``lower`` and ``upper``,
        ``n_estimated``; ``difference`` (predictor, predictor_other, window), median over neuroids
        that both have, with its interval. Medians are NaN where fewer than half of the neuroids
        have a score: noise has then picked those left. With permutations ``null`` (permutation,
        predictor, window), medians, and ``p_value`` (predictor, window), one-sided. Coord
        ``source``: model, or subject. ``attrs`` count ``n_not_estimable`` in window ``all``, and
        name them in ``warnings``.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Warns
    -----
    NeuroalignWarning
        When neuroids have no corrected score by some predictor; says how many and which.

    Notes
    -----
    r = corr(p, y) / sqrt(SB[corr(p1, p2)] SB[corr(y1, y2)]) with SB(r) = k r / (1 + (k - 1) r),
    over all frames of held-out films; p, p1, p2 are predictions of maps fitted to the average of
    all trials and to its halves. k = 2, as published, for even numbers of trials; of odd ones a
    half lacks a trial, and k is by how much its noise variance exceeds that of the average. With
    another subject as predictor its halves predict the halves. Numerator and half correlations are
    averaged over splits and draws, then divided. Intervals take neuroids for independent and films
    for given.

    On courses that last 30 frames, 100 films, 6 trials and 8 features, a planted correlation of 0.7
    comes back as 0.71 at a signal-to-noise variance of 0.1 (raw r 0.43), 0.70 at 0.3 to 10; with 60
    features as 0.66 at all of them, because maps from 80 films are that much short. At 0.01 it
    cannot be told: 28 of 30 neuroids have no score, and the median is NaN.

    References
    ----------
    Nayebi, Rajalingham, Jazayeri & Yang (2023), NeurIPS 36, arXiv:2305.11772, section 5.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_scenes
    >>> scenes = simulate_scenes(n_conditions=12, n_neuroids=4, snr=10.0)
    >>> place = scenes.truth["position"].rename(axis="feature").transpose("sample", "feature", ...)
    >>> found = compare_futures({"truth": place}, scenes.responses["sub-01"], n_halves=2)
    >>> found["corrected"].dims
    ('predictor', 'window', 'neuroid')
    """
    model = Ridge() if encoder is None else encoder
    check_counts(n_splits, n_halves, min_consistency)
    given = {} if others is None else others
    _check_names(features, given)
    names, codes = name_conditions(responses, "responses", COURSES, max(n_splits, 4))
    rng = np.random.default_rng(seed)
    target = average_trials(responses, names, codes, n_halves, rng)
    sources = {
        name: Courses(read_course(one, names, f"features['{name}']", responses), [])
        for name, one in features.items()
    }
    for name, one in given.items():
        label = f"others['{name}']"
        films, theirs = name_conditions(one, label, COURSES, 1)
        check_times(one, responses, label)
        every = average_trials(one, films, theirs, n_halves, rng)
        rows = find_rows(
            xr.DataArray(films, dims="sample", coords={"stimulus": ("sample", films)}),
            names, label, (("sample",),),
        )  # fmt: skip
        halves = [(first[rows], second[rows]) for first, second in every.halves]
        sources[name] = Courses(every.full[rows], halves, every.growth)
        _check_apart(sources[name].full, target.full, label)
    frames = find_frames([target, *sources.values()])
    shown = len(np.unique(frames.condition))
    if shown < max(n_splits, 4):
        raise AlignError(
            f"responses: expected {max(n_splits, 4)} films or more with frames known everywhere, "
            f"got {shown} of {len(names)}. Check that times and NaN of all arrays fit together."
        )
    scored = _read_windows(windows, names, frames, responses)
    folds = make_folds(len(names), groups=names, n_splits=n_splits, seed=seed, shuffle_groups=True)
    orders = draw_orders(folds, len(names), n_permutations, rng)
    found = [
        correlate_halves(model, source, target, frames, list(scored.values()), folds, orders)
        for source in tqdm(sources.values(), desc="predictors", disable=not progress)
    ]
    parts, null = (np.stack(part) for part in zip(*found, strict=True))
    # Maps to the responses of one subject are as noisy as those responses.
    growths = [
        *(one.growth if one.halves else target.growth for one in sources.values()), target.growth,
    ]  # fmt: skip
    return _tabulate(
        parts, null, growths, responses,
        {
            "predictor": list(sources),
            "source": ("predictor", ["model"] * len(features) + ["subject"] * len(given)),
            "window": list(scored),
        },
        {
            "encoder": " ".join(repr(model).split()), "n_splits": n_splits, "n_halves": n_halves,
            "min_consistency": min_consistency, "n_permutations": n_permutations,
            "n_resamples": n_resamples, "level": level, "seed": seed,
            "n_films": shown, "n_frames": len(frames.condition),
        },
        {name: provenance.hash_array(one) for name, one in {**features, **given}.items()}
        | {f"window {name}": provenance.hash_array(one) for name, one in (windows or {}).items()},
    )  # fmt: skip


def _check_names(features: Any, others: Any) -> None:
    if not isinstance(features, Mapping) or not isinstance(others, Mapping):
        wrong = others if isinstance(features, Mapping) else features
        raise SchemaError(
            "features, others: expected a mapping of name to DataArray, got "
            f"{type(wrong).__name__}. Pass {{'model': features}}."
        )
    twice = sorted(set(features) & set(others))
    if not features and not others:
        raise ValueError("features: expected a predictor or more, got none. Pass {name: features}.")
    if twice:
        raise ValueError(
            f"others: expected names that no predictor has, got {some(twice)}. Rename them."
        )


def _check_apart(ours: Array, theirs: Array, label: str) -> None:
    """Refuse neuroids that are in both: noise that both have would be taken for signal."""
    known, other = (
        {one.tobytes() for one in np.moveaxis(course.astype(np.float32), 2, 0) if _moves(one)}
        for course in (ours, theirs)
    )
    if known & other:
        raise AlignError(
            f"{label}: expected neuroids of another animal, got {len(known & other)} with the data "
            "of responses. Leave it out: nobody is a ceiling for itself."
        )


def _moves(course: Array) -> bool:
    known = course[np.isfinite(course)]
    return bool(len(known) and np.ptp(known) > 0)


def _read_windows(
    windows: Mapping[str, xr.DataArray] | None,
    names: Array,
    frames: Frames,
    responses: xr.DataArray,
) -> dict[str, Array]:
    """Rows of ``frames`` that each window holds."""
    found = {EVERYWHERE: np.ones(len(frames.condition), dtype=bool)}
    for name, one in (windows or {}).items():
        found[name] = frames.take(read_window(one, names, f"windows['{name}']", responses))
    return found


def _tabulate(
    parts: Array,
    null: Array,
    growths: Sequence[float],
    responses: xr.DataArray,
    labels: dict[str, Any],
    settings: dict[str, Any],
    hashes: dict[str, str],
) -> xr.Dataset:
    """Divide, average over neuroids, and say it: parts (predictor, 3, split, window, neuroid)."""
    least, level = settings["min_consistency"], settings["level"]
    # A split in which a window has too few frames says nothing of it.
    raw, model, data = np.moveaxis(_mean_known(parts, axis=2), 1, 0)
    model = np.stack(
        [predict_reliability(one, times) for one, times in zip(model, growths[:-1], strict=True)]
    )
    data = predict_reliability(data, growths[-1])
    score = divide(raw, model, data, least)
    n = score.shape[2]
    rng = np.random.default_rng(settings["seed"])
    weights = draw_weights(n, settings["n_resamples"], rng).astype(np.intp)
    draws = [np.repeat(np.arange(n), one) for one in weights]
    middle = ("predictor", "window")
    pairs = ("predictor", "predictor_other", "window")
    gap = score[:, None] - score[None]
    columns: dict[str, Any] = {
        "corrected": ((*middle, "neuroid"), score),
        "raw": ((*middle, "neuroid"), raw),
        "prediction_consistency": ((*middle, "neuroid"), model),
        "response_consistency": (("window", "neuroid"), data[0]),
        "split_raw": (("predictor", "split", "window", "neuroid"), parts[:, 0]),
        "n_estimated": (middle, np.isfinite(score).sum(axis=2)),
    }
    for name, dims, values in (("", middle, score), ("difference", pairs, gap)):
        median, low, high = _bound(values, draws, level)
        columns[name or "median"] = (dims, median)
        columns[f"{name}_lower" if name else "lower"] = (dims, low)
        columns[f"{name}_upper" if name else "upper"] = (dims, high)
    if null.shape[1]:
        shuffled = divide(_mean_known(null, axis=2), model[:, None], data[:, None], least)
        middles = _bound(shuffled, [], level)[0]
        count, _ = count_reached(middles.swapaxes(0, 1), columns["median"][1])
        columns["null"] = (("permutation", *middle), middles.swapaxes(0, 1))
        p_value = permutation_p(count, columns["median"][1], null.shape[1])
        columns["p_value"] = (middle, p_value)
    lines = _describe_missing(score, data[0], labels, responses["neuroid"].values, least)
    kept = {k: c for k, c in responses.coords.items() if c.dims == ("neuroid",)}
    result = xr.Dataset(
        columns,
        coords={**labels, **kept, "predictor_other": labels["predictor"]},
        attrs={
            "kind": "estimate",
            "method": "compare_futures",
            "metric": "pearson",
            "formula": "corr(p, y) / sqrt(SB[corr(p1, p2)] SB[corr(y1, y2)])",
            "headline": "median",
            "verdict": "noise-corrected predictivity, median over neuroids: "
            + "; ".join(
                state(name, *(columns[key][1][row, 0] for key in ("median", "lower", "upper")))
                for row, name in enumerate(labels["predictor"])
            ),
            "n_not_estimable": int(np.isnan(score[:, 0]).sum()),
            **settings,
            **({"warnings": "\n".join(lines)} if lines else {}),
            "provenance": provenance.collect(
                settings, {**hashes, "responses": provenance.hash_array(responses)}
            ),
        },
    )
    if lines:
        more = f" And {len(lines) - 1} more such lines in attrs['warnings']." if lines[1:] else ""
        warn_unreliable(lines[0] + more, depth=4)
    return schema.check_estimate(copy_geometry(responses, result))


def _describe_missing(
    score: Array, data: Array, labels: Mapping[str, Any], names: Array, least: float
) -> list[str]:
    """Say which neuroids have no score (predictor, window, neuroid), and whether frames are too
    few, the responses (window, neuroid) say little, or a predictor does."""
    empty = np.asarray(np.isnan(data).all(axis=1))
    lines = [
        f"windows['{window}']: expected two frames or more that are known everywhere in held-out "
        "films, got fewer in every split. It has no score: mark more frames, or leave it out."
        for window, none in zip(labels["window"], empty, strict=True)
        if none
    ]
    for row, predictor in enumerate(labels["predictor"]):
        for column, window in enumerate(labels["window"]):
            one, whose = score[row, column], f"by '{predictor}' in window '{window}'"
            missing = np.isnan(one)
            if empty[column] or not missing.any():
                continue
            if (data[column][missing] >= max(least, 1e-12)).all():
                lines.append(
                    f"predictions {whose}: expected maps to both halves of the trials to agree "
                    f"above {least:g} in every neuroid, got {int(missing.sum())} of {missing.size} "
                    f"without ({some(names[missing])}). The responses are reliable: there the "
                    "predictor says nothing of them; read 'raw'."
                )
            else:
                lines.append(describe_unreliable(one, names, least, f"responses {whose}"))
    return lines


def _mean_known(values: Array, axis: int) -> Array:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis) / known.sum(axis))


def _bound(values: Array, draws: list[Array], level: float) -> tuple[Array, Array, Array]:
    """Median over neuroids (last axis) and its percentile interval over draws."""
    found = np.full((3, *values.shape[:-1]), np.nan)
    for place in np.ndindex(values.shape[:-1]):
        one = values[place]
        # What is left where most have no value was picked by noise in the denominator.
        if np.isfinite(one).mean() < LEAST_SHARE:
            continue
        found[(0, *place)] = np.nanmedian(one)
        # A draw of neuroids none of which has a value has no median.
        drawn = [np.median(part[np.isfinite(part)]) if np.isfinite(part).any() else np.nan
                 for part in (one[rows] for rows in draws)]  # fmt: skip
        found[(1, *place)], found[(2, *place)] = find_bounds(np.array(drawn), level)
    return found[0], found[1], found[2]
