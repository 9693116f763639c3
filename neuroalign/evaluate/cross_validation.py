"""Cross-validation of an encoder."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema, scores
from neuroalign._arrays import copy_geometry, is_continuous
from neuroalign._folds import Folds, check_leakage, find_repeated, make_folds
from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError, choose, some
from neuroalign.evaluate._ceilings import find_ceiling
from neuroalign.evaluate._fitting import run_folds, stack_folds
from neuroalign.evaluate._nulls import test_scores
from neuroalign.stats.permutations import SCHEMES

Array = npt.NDArray[Any]
KEEP = {"prediction": "prediction", "weights": "weights"}


def cross_validate(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    *,
    group: str | None = "run",
    n_splits: int | None = None,
    on: str | tuple[str, ...] = "stimulus",
    metric: str = "pearson",
    ceiling: str | xr.DataArray | None = "split_half",
    n_permutations: int = 0,
    permutation_scheme: str = "auto",
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
        Without NaN; rows labelled as the features, see ``align.match``.
    group : str or None
        Coord on ``sample`` of the responses whose groups are never divided. None: repeats of a
        stimulus stay together, or contiguous folds when each comes once.
    n_splits : int or None
        None: leave one group out up to 12 groups, else 5 folds.
    on : str or tuple of str
        Coords that must agree row by row. Where ``stimulus`` is missing, ``run`` and ``onset``.
    metric : str
        A name in ``scores.METRICS``.
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
        shifts continuous data (``onset`` on a grid within each run, or no ``stimulus``), else
        moves blocks.
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
    Permuting test rows under fixed predictions misses that: the variance of the null mean is half
    of what it should be, and 11 to 12 % of neuroids without signal pass at 0.05.

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
    _check_arguments(encoder, features, n_splits, n_permutations)
    schema.check_responses(responses)
    choose(scores.METRICS, metric, "metric")
    choose({"auto": None, **SCHEMES}, permutation_scheme, "permutation_scheme")
    for name in [keep] if isinstance(keep, str) else keep:
        choose(KEEP, name, "keep")
    _check_rows(features, responses, on)
    _check_finite(features, "features")
    _check_finite(responses, "responses")
    folds = _split(responses, group, n_splits, seed)
    if "stimulus" in responses.coords and not allow_shared_stimuli:
        check_leakage(folds, responses["stimulus"].values)
    elif "stimulus" in features.coords and not allow_shared_stimuli:
        check_leakage(folds, features["stimulus"].values)

    # Unique stimuli have no repeats to hold together: inner folds are contiguous.
    inner = responses[group].values if group else find_repeated(_read(responses, "stimulus"))
    labels = _name_folds(responses, folds, group)
    parts, prediction, messages = run_folds(
        encoder, features, responses, folds, inner, metric, "weights" in keep, progress
    )
    result = stack_folds(parts, labels, responses)
    result["mean_score"] = result["score"].mean("fold", skipna=False)
    result["ceiling"] = find_ceiling(ceiling, responses, seed)
    messages += _warn_unscored(result["mean_score"], features)
    if n_permutations:
        scheme = permutation_scheme
        if scheme == "auto":
            # Rows that are known by their time alone are a time series, whatever its gaps.
            timed = is_continuous(responses) or "stimulus" not in responses.coords
            scheme = "circular" if timed else "block"
        tested = test_scores(
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
        result.attrs["permutation_scheme"] = scheme
    if "prediction" in keep:
        result["prediction"] = prediction
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
        "warnings": "\n".join(messages),
        "history": _join_history(features, responses),
        "provenance": provenance.collect(
            {
                "group": group or "",
                "n_splits": n_splits or 0,
                "on": on if isinstance(on, str) else list(on),
                "metric": metric,
                "ceiling": ceiling if isinstance(ceiling, str) else type(ceiling).__name__,
                "n_permutations": n_permutations,
                "permutation_scheme": permutation_scheme,
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
    for name in ("score", "mean_score", "ceiling"):
        result[name] = copy_geometry(responses, result[name])
    return schema.check_encoding(copy_geometry(responses, result))


def _check_arguments(
    encoder: Any, features: xr.DataArray, n_splits: int | None, n_permutations: int
) -> None:
    if isinstance(encoder, type) or not (hasattr(encoder, "fit") and hasattr(encoder, "predict")):
        raise ValueError(
            f"encoder: expected an estimator such as Ridge(), got {encoder!r}. Pass an instance."
        )
    for name, value, least in (("n_splits", n_splits, 2), ("n_permutations", n_permutations, 0)):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if value is not None and not (whole and value >= least):
            raise ValueError(f"{name}: expected a whole number >= {least}, got {value!r}.")
    schema.check_features(features)
    if features.dims != ("sample", "feature"):
        raise SchemaError(
            f"features: expected dims ('sample', 'feature'), got {features.dims}. Average over "
            "the third dim, or extract with pool='flatten' or 'mean'."
        )


def _warn_unscored(score: xr.DataArray, features: xr.DataArray) -> list[str]:
    """Say so when no neuroid has a score at all."""
    if bool(np.isfinite(score.values).any()):
        return []
    still = not np.ptp(features.values, axis=0).any()
    cause = "the features never vary" if still else "predictions or responses never vary"
    message = f"responses: expected scores for some neuroids, got none ({cause})."
    warnings.warn(message, NeuroalignWarning, stacklevel=3)
    return [message]


def _check_rows(features: xr.DataArray, responses: xr.DataArray, on: str | tuple[str, ...]) -> None:
    """Check that both arrays name the same thing in each row."""
    n, m = features.sizes["sample"], responses.sizes["sample"]
    if n != m:
        raise AlignError(
            f"features: expected {m} samples as in responses, got {n}. "
            "Run neuroalign.align.match(features, responses) first."
        )
    keys = (on,) if isinstance(on, str) else tuple(on)
    if keys == ("stimulus",) and not all("stimulus" in a.coords for a in (features, responses)):
        keys = ("run", "onset")
    for key in keys:
        for name, array in (("features", features), ("responses", responses)):
            if key not in array.coords:
                raise AlignError(
                    f"{name}: expected coord '{key}' to compare rows on, got "
                    f"{some(array.coords)}. Assign it, or name another in on=."
                )
        ours, theirs = features[key].values, responses[key].values
        numbers = ours.dtype.kind in "iuf" and theirs.dtype.kind in "iuf"
        differs = ~np.isclose(ours, theirs) if numbers else ours != theirs
        if differs.any():
            row = int(np.argmax(differs))
            raise AlignError(
                f"features: expected the '{key}' of responses in every row, got '{ours[row]}' "
                f"against '{theirs[row]}' in row {row} ({int(differs.sum())} rows differ). "
                "Run neuroalign.align.match(features, responses) first."
            )


def _check_finite(array: xr.DataArray, name: str) -> None:
    bad = ~np.isfinite(array.values)
    if bad.any():
        rows = np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))
        raise ValueError(
            f"{name}: expected finite values, got {int(bad.sum())} NaN or infinite in "
            f"{len(rows)} samples (first: row {rows[0]}). Drop or mask those first."
        )


def _split(responses: xr.DataArray, group: str | None, n_splits: int | None, seed: int) -> Folds:
    n = responses.sizes["sample"]
    if group is None:
        return make_folds(n, n_splits=n_splits, stimulus=_read(responses, "stimulus"), seed=seed)
    if group not in responses.coords or responses[group].dims != ("sample",):
        known = [name for name, coord in responses.coords.items() if coord.dims == ("sample",)]
        raise ValueError(
            f"group: expected a coord on 'sample' of responses, got '{group}' "
            f"(there are {some(known)}). Use group=None to split by stimulus."
        )
    labels = responses[group].values
    if len(np.unique(labels)) < 2:
        raise ValueError(
            f"group: expected at least 2 different '{group}' to hold one out, got "
            f"{some(np.unique(labels))}. Load more, or use group=None to split by stimulus."
        )
    return make_folds(n, groups=labels, n_splits=n_splits)


def _name_folds(responses: xr.DataArray, folds: Folds, group: str | None) -> list[str]:
    """Name each fold by the groups it holds out, or by its number."""
    names = []
    for number, (_, test) in enumerate(folds):
        held = set() if group is None else set(responses[group].values[test].astype(str).tolist())
        names.append("+".join(sorted(held)) if 0 < len(held) <= 3 else f"fold-{number}")
    return names


def _join_history(features: xr.DataArray, responses: xr.DataArray) -> str:
    """List the steps of both inputs, so that the result says how it was made."""
    return "\n".join(
        f"{name}: {line}"
        for name, array in (("responses", responses), ("features", features))
        for line in str(array.attrs.get("history", "")).split("\n")
        if line
    )


def _read(responses: xr.DataArray, coord: str) -> Array | None:
    return np.asarray(responses[coord].values) if coord in responses.coords else None
