"""Cross-validation of an encoder."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema, scores
from neuroalign._arrays import copy_geometry, is_time_series
from neuroalign.errors import NeuroalignWarning, choose
from neuroalign.evaluate._ceilings import find_ceiling
from neuroalign.evaluate._checks import (
    check_arguments,
    check_finite,
    check_overlap,
    check_rows,
    check_targets,
    drop_clashing,
    join_history,
    warn_shuffled,
    warn_small,
)
from neuroalign.evaluate._fitting import average_folds, run_folds, stack_folds
from neuroalign.evaluate._forward import test_forward
from neuroalign.evaluate._nulls import test_scores
from neuroalign.evaluate._splits import find_inner, split_rows
from neuroalign.stats.permutations import SCHEMES

Array = npt.NDArray[Any]
KEEP = {"prediction": "prediction", "weights": "weights"}
SOURCE = ("method", "n_averaged")  # of a ceiling


def cross_validate(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    *,
    group: str | None = "run",
    n_splits: int | None = None,
    gap: float = 0.0,
    n_repeats: int = 1,
    on: str | tuple[str, ...] = "stimulus",
    metric: str = "pearson",
    ceiling: str | xr.DataArray | None = "split_half",
    n_permutations: int = 0,
    permutation_scheme: str = "auto",
    refit: bool = True,
    allow_shared_stimuli: bool = False,
    keep: Sequence[str] = (),
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Fit on all folds but one, predict that one, and score every neuroid.

    Parameters
    ----------
    encoder : estimator
        Cloned for each fold, so that every step of a pipeline is fitted on training rows only. One
        that takes ``groups`` in ``fit`` (as Ridge does) gets those of the training rows.
    features : DataArray (sample, feature)
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        Rows labelled as the features, see ``align.match``. NaN only for an encoder with
        ``missing="drop"`` (as Ridge has): each neuroid is then fitted and scored on its own rows,
        its ``mean_score`` taken over the folds that hold two or more of them.
    group : str or None
        Coord on ``sample`` of the responses whose groups are never divided: ``"run"``,
        ``"subject"``, ``"stimulus"``. ``"time"``: stretches of the rows in order of run and onset,
        also within one run; give a ``gap``. None: repeats of a stimulus stay together, or
        contiguous folds when each comes once.
    n_splits : int or None
        None: leave one group out up to 12 groups, else 5 folds. As many as there are groups
        leaves one out whatever their number. Each fold tests two rows at least, as one row has no
        score.
    gap : float
        Training rows of the same run as a test row are dropped when they lie this near to it, or
        nearer: [s] between onsets, rows where responses have no ``onset``.
    n_repeats : int
        Deal groups (or stimuli) to folds anew so many times, with seeds ``seed``, ``seed + 1``
        ...; ``prediction`` is the mean over repeats.
    on : str or tuple of str
        Coords that must agree row by row. Where ``stimulus`` is missing, ``run`` and ``onset``.
    metric : str
        A name in ``scores.METRICS``. ``"bits_per_spike"`` and ``"pseudo_r2"``, for counts and an
        encoder of rates (`PoissonGLM`), are about the mean of the held-out rows, which no
        prediction knows: they lie a little below those about the training mean.
    ceiling : str, DataArray (neuroid[, time]), Dataset, or None
        A name in ``ceilings.CEILINGS``: the ceiling of single presentations, from the repeats in
        ``responses``; NaN where none is repeated, and for volumes named by condition. Pass the
        ceiling of the average when ``responses`` are averages: what a function of ``ceilings``
        returned, or its ``ceiling``, for the same neuroids in any order.
    n_permutations : int
        0 skips the test; 1000 is usual. Rows of the responses are permuted within folds and the
        encoder is refitted, so the time is that of so many cross-validations.
    permutation_scheme : {"auto", "block", "circular"}
        ``block`` moves the rows of one stimulus together, ``circular`` shifts time. ``auto``
        shifts a time series (``onset`` on a grid within each run, and no stimulus that comes back
        in another order; or no ``stimulus`` at all), else moves blocks.
    allow_shared_stimuli : bool
        Accept train and test rows of one stimulus: for continuous designs whose ``stimulus``
        names a condition.
    keep : sequence of {"prediction", "weights"}
    seed : int
    progress : bool

    Returns
    -------
    Dataset
        ``score`` (fold, neuroid[, time]), ``mean_score`` and ``ceiling`` (neuroid[, time]); with
        permutations ``p_value``, ``q_value`` (false discovery rate) and ``p_fwer`` (max statistic
        over neuroids); ``alpha`` (fold, neuroid[, time]) when the encoder chooses penalties; what
        ``keep`` names. Constant neuroids score NaN. ``ceiling`` is a share of variance: it bounds
        r2, and its square root bounds r.

    Raises
    ------
    AlignError
        When labels of features and responses, or neuroids of the ceiling, differ.
    LeakageError
        When a fold tests a stimulus it trains on.
    SchemaError, ValueError

    Notes
    -----
    ``p = (1 + #{null >= observed}) / (1 + n_permutations)``. Refitting matters: each response
    serves as test in one fold and as training in the others, so scores of folds are correlated.
    Permuting test rows under fixed predictions of k folds misses that: the variance of the null
    mean is half of what it should be, and 11 to 12 % of neuroids without signal pass at 0.05.
    ``refit=False`` therefore fits forward in the order of the folds: a fold's rows never entered
    the predictions it is tested on, its rank is uniform given all earlier folds, and the ranks of
    folds are independent. It joins their normal scores, weighted by sqrt(n_train n_test). Its
    ``p_fwer`` holds as far as neuroids depend on each other alike in all folds.

    Never shuffle the time points of a recording between folds. Features and responses that are
    independent AR(1) series with coefficient 0.9 (400 rows, 200 features, no signal at all) reach
    a mean r of 0.85 when rows are shuffled into 5 folds, 0.06 with contiguous folds
    (``group="time"``), and 0.00 with a gap of 10 rows beside them.

    References
    ----------
    Phipson & Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9(1), doi:10.2202/1544-6115.1585.

    Examples
    --------
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_neuroids=4, snr=2.0)
    >>> result = cross_validate(Ridge(), data.features, data.responses, ceiling=None)
    >>> bool((result["mean_score"] > 0.5).all())
    True
    """
    check_arguments(encoder, features, n_splits, n_permutations, n_repeats)
    schema.check_responses(responses)
    scores.choose_metric(metric)
    choose({"auto": None, **SCHEMES}, permutation_scheme, "permutation_scheme")
    for name in [keep] if isinstance(keep, str) else keep:
        choose(KEEP, name, "keep")
    check_rows(features, responses, on)
    check_finite(features, "features")
    missing = check_targets(encoder, responses, n_permutations)
    folds, labels = split_rows(responses, group, n_splits, gap, n_repeats, seed)
    check_overlap(features, responses, folds, allow_shared_stimuli)
    if n_permutations and not refit and n_repeats > 1:
        raise ValueError(
            f"refit: expected True with repeated splits, got False and n_repeats={n_repeats}: "
            "each row would be tested several times. Use n_repeats=1."
        )

    inner = find_inner(responses, group)
    responses, messages = drop_clashing(responses, with_samples="prediction" in keep)
    parts, prediction, said = run_folds(
        encoder, features, responses, folds, inner, metric, "weights" in keep, progress
    )
    messages += said
    result = stack_folds(parts, labels, responses)
    result["mean_score"] = result["score"].mean("fold", skipna=False)
    if missing:
        result["mean_score"] = average_folds(result["score"], responses, folds)
    result["ceiling"] = find_ceiling(ceiling, responses, seed)
    source = result["ceiling"].attrs
    result.attrs |= {f"ceiling_{key}": source[key] for key in SOURCE if key in source}
    messages += warn_shuffled(responses, folds)
    messages += warn_small(responses, folds)
    messages += _warn_unscored(result["mean_score"], features)
    if n_permutations:
        scheme = permutation_scheme
        if scheme == "auto":
            scheme = "circular" if is_time_series(responses) else "block"
        tested = (test_scores if refit else test_forward)(
            encoder,
            features,
            responses,
            result["mean_score"],
            folds,
            inner,
            metric,
            scheme,
            n_permutations,
            seed,
            progress,
        )
        result = result.assign(tested)
        result.attrs |= {"permutation_scheme": scheme, "permutation_refit": int(refit)}
    if "prediction" in keep:
        result["prediction"] = prediction
        if n_repeats == 1:
            held = np.empty(responses.sizes["sample"], dtype=object)
            for name, (_, test) in zip(labels, folds, strict=True):
                held[test] = name
            result = result.assign_coords(held_out_in=("sample", held.astype(str)))
    result.attrs |= {
        "kind": "encoding",
        "metric": metric,
        "model": " ".join(repr(encoder).split()),
        "seed": seed,
        "n_samples": responses.sizes["sample"],
        "n_constant": int((np.ptp(responses.values, axis=0) == 0).sum()),
        "n_unscored": int(np.isnan(result["mean_score"].values).sum()),
        "n_permutations": n_permutations,
        "group": group or "",
        "gap": float(gap),
        "n_repeats": n_repeats,
        "warnings": "\n".join(messages),
        "history": join_history(features, responses),
        "provenance": provenance.collect(
            {
                "group": group or "",
                "n_splits": n_splits or 0,
                "gap": gap,
                "n_repeats": n_repeats,
                "on": on if isinstance(on, str) else list(on),
                "metric": metric,
                "ceiling": ceiling if isinstance(ceiling, str) else type(ceiling).__name__,
                "n_permutations": n_permutations,
                "permutation_scheme": permutation_scheme,
                "refit": refit,
                "allow_shared_stimuli": allow_shared_stimuli,
                "keep": list(keep),
                "seed": seed,
            },
            {
                "features": provenance.hash_array(features),
                "responses": provenance.hash_array(responses),
            },
        ),
    }
    # Whatever a map may be made of knows its places.
    for name in map(str, result.data_vars):
        result[name] = copy_geometry(responses, result[name])
    return schema.check_encoding(copy_geometry(responses, result))


def _warn_unscored(score: xr.DataArray, features: xr.DataArray) -> list[str]:
    """Say so when no neuroid has a score at all."""
    if bool(np.isfinite(score.values).any()):
        return []
    still = not np.ptp(features.values, axis=0).any()
    cause = "the features never vary" if still else "predictions or responses never vary"
    message = f"responses: expected scores for some neuroids, got none ({cause})."
    warnings.warn(message, NeuroalignWarning, stacklevel=3)
    return [message]
