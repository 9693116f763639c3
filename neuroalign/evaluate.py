"""Judge an encoder on stimuli it never saw: scores with their ceiling, their null, their source.

In: an encoder (or a scikit-learn pipeline that ends in one), features (sample, feature) and
responses (sample, neuroid[, time]) with the same labels row by row. Out: a Dataset of kind
``encoding``, which ``report`` reads. To add a score: a row in ``scores.METRICS``.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter
from tqdm import tqdm

from neuroalign import ceilings, provenance, schema, scores, stats
from neuroalign._arrays import describe, wrap_samples
from neuroalign._folds import Folds, check_leakage, find_repeated, make_folds, permute_rows
from neuroalign.errors import AlignError, choose, some

Array = npt.NDArray[Any]
KEEP = {"prediction": "prediction", "weights": "weights"}
SCHEMES = {"auto": "auto", "block": "block", "circular": "circular"}
# Permuted copies are fitted side by side up to this many targets.
STACKED_TARGETS = 40_000
CEILINGS = {"split_half": ceilings.split_half}


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
    ceiling : {"split_half"}, DataArray (neuroid[, time]), or None
        NaN where no stimulus is repeated.
    n_permutations : int
        0 skips the test; 1000 is usual. Rows of the responses are permuted within folds and the
        encoder is refitted, so the time is that of so many cross-validations.
    permutation_scheme : {"auto", "block", "circular"}
        ``block`` moves the rows of one stimulus together, ``circular`` shifts time. ``auto``
        shifts continuous data (``onset`` evenly spaced within each run), else moves blocks.
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
        permutations ``p_value`` and ``q_value``; ``alpha`` (fold, neuroid[, time]) when the
        encoder chooses penalties; what ``keep`` names. Constant neuroids score NaN.

    Raises
    ------
    AlignError
        When labels of features and responses differ.
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
    """
    schema.check_features(features)
    schema.check_responses(responses)
    choose(scores.METRICS, metric, "metric")
    choose(SCHEMES, permutation_scheme, "permutation_scheme")
    for name in keep:
        choose(KEEP, name, "keep")
    _check_rows(features, responses, on)
    _check_finite(features, "features")
    _check_finite(responses, "responses")
    folds = _split(responses, group, n_splits, seed)
    if "stimulus" in responses.coords and not allow_shared_stimuli:
        check_leakage(folds, responses["stimulus"].values)

    # Unique stimuli have no repeats to hold together: inner folds are contiguous.
    inner = responses[group].values if group else find_repeated(_read(responses, "stimulus"))
    labels = _name_folds(responses, folds, group)
    parts, prediction, messages = _run_folds(
        encoder, features, responses, folds, inner, metric, "weights" in keep, progress
    )
    result = _stack(parts, labels, responses)
    result["mean_score"] = result["score"].mean("fold", skipna=False)
    result["ceiling"] = _compute_ceiling(ceiling, responses, seed)
    if n_permutations:
        scheme = permutation_scheme
        if scheme == "auto":
            scheme = "circular" if _is_continuous(responses) else "block"
        result["p_value"], result["q_value"] = _test(
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
        "n_permutations": n_permutations,
        "group": group or "",
        "warnings": "\n".join(messages),
        "provenance": provenance.collect(
            {"group": group or "", "n_splits": n_splits or 0, "metric": metric, "seed": seed},
            {
                "features": provenance.hash_array(features),
                "responses": provenance.hash_array(responses),
            },
        ),
    }
    return schema.check_encoding(result)


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
        raise ValueError(
            f"group: expected a coord on 'sample' of responses, got '{group}' "
            f"(there are {some(responses.coords)}). Use group=None to split by stimulus."
        )
    return make_folds(n, groups=responses[group].values, n_splits=n_splits)


def _name_folds(responses: xr.DataArray, folds: Folds, group: str | None) -> list[str]:
    """Name each fold by the groups it holds out, or by its number."""
    names = []
    for number, (_, test) in enumerate(folds):
        held = set() if group is None else set(responses[group].values[test].astype(str).tolist())
        names.append("+".join(sorted(held)) if 0 < len(held) <= 3 else f"fold-{number}")
    return names


def _fit(
    encoder: Any, features: xr.DataArray, targets: xr.DataArray, train: Array, inner: Array | None
) -> Any:
    """Fit a clone; an encoder that takes ``groups`` keeps them whole in its inner folds."""
    model = clone(encoder)
    name, last = model.steps[-1] if hasattr(model, "steps") else ("", model)
    options = {}
    if inner is not None and has_fit_parameter(last, "groups") and len(np.unique(inner[train])) > 1:
        options[f"{name}__groups" if name else "groups"] = inner[train]
    return model.fit(features[train], targets[train], **options)


def _run_folds(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    folds: Folds,
    inner: Array | None,
    metric: str,
    with_weights: bool,
    progress: bool,
) -> tuple[list[dict[str, Any]], xr.DataArray, list[str]]:
    """Fit and score each fold; gather predictions of all test rows, and what was warned."""
    template, parts = describe(responses), []
    predicted = np.full(responses.shape, np.nan, dtype=responses.dtype)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for train, test in tqdm(folds, desc="folds", disable=not progress):
            model = _fit(encoder, features, responses, train, inner)
            values = np.asarray(model.predict(features[test]))
            if values.shape != (len(test), *responses.shape[1:]):
                raise ValueError(
                    f"encoder: expected predictions of shape {(len(test), *responses.shape[1:])}, "
                    f"got {values.shape}. Use an encoder that predicts every target."
                )
            predicted[test] = values
            observed = responses[test]
            guess = wrap_samples(predicted[test], observed, template)
            parts.append(_describe_fold(model, observed, guess, metric, with_weights))
    messages: list[str] = []
    for warning in caught:
        if str(warning.message) not in messages:
            messages.append(str(warning.message))
            warnings.warn(str(warning.message), warning.category, stacklevel=3)
    return parts, wrap_samples(predicted, responses, template), messages


def _describe_fold(
    model: Any, observed: xr.DataArray, guess: xr.DataArray, metric: str, with_weights: bool
) -> dict[str, Any]:
    """Read the score of one fold and what its last step learnt."""
    last = model[-1] if hasattr(model, "steps") else model
    part: dict[str, Any] = {"score": scores.score(observed, guess, metric=metric).values}
    alpha = np.asarray(getattr(last, "alpha_", np.nan))
    if alpha.shape == guess.shape[1:]:
        part["alpha"] = alpha
    for name in ("edge_low_", "edge_high_"):
        if hasattr(last, name):
            part[name] = float(getattr(last, name))
    if with_weights:
        if not hasattr(last, "weights_"):
            raise ValueError(
                f"keep: expected an encoder with weights_ for 'weights', got "
                f"{type(last).__name__}. Drop 'weights' from keep."
            )
        part["weights"] = last.weights_
    return part


def _stack(parts: list[dict[str, Any]], labels: list[str], responses: xr.DataArray) -> xr.Dataset:
    """Lay the folds side by side, with the labels of neuroids and times."""
    template = describe(responses)
    dims = ("fold", *map(str, responses.dims[1:]))
    result = xr.Dataset(coords={"fold": labels, **template.coords})
    for name in ("score", "alpha"):
        if name in parts[0]:
            result[name] = (dims, np.stack([part[name] for part in parts]))
    if "weights" in parts[0]:
        stacked = xr.concat([part["weights"] for part in parts], "fold")
        result["weights"] = stacked.assign_coords(fold=labels).drop_attrs()
    for name in ("edge_low_", "edge_high_"):
        if name in parts[0]:
            result.attrs[name.rstrip("_")] = [part[name] for part in parts]
    return result


def _compute_ceiling(
    ceiling: str | xr.DataArray | None, responses: xr.DataArray, seed: int
) -> xr.DataArray:
    """Compute or take the ceiling; NaN where nothing is repeated."""
    blank = describe(responses)
    unknown = xr.DataArray(np.full(blank.shape[1:], np.nan), dims=blank.dims[1:])
    if isinstance(ceiling, xr.DataArray):
        return ceiling.reindex(neuroid=responses["neuroid"])
    if ceiling is None:
        return unknown
    compute = choose(CEILINGS, ceiling, "ceiling")
    repeated = find_repeated(_read(responses, "stimulus"))
    return unknown if repeated is None else compute(responses, seed=seed)["ceiling"]


def _read(responses: xr.DataArray, coord: str) -> Array | None:
    return np.asarray(responses[coord].values) if coord in responses.coords else None


def _is_continuous(responses: xr.DataArray) -> bool:
    """Tell evenly sampled runs (one row a volume) from separate presentations."""
    if not {"run", "onset"} <= set(responses.coords):
        return False
    run, onset = responses["run"].values, responses["onset"].values
    steps = [np.diff(onset[run == one]) for one in np.unique(run)]
    return all(len(step) > 1 and step[0] > 0 and np.allclose(step, step[0]) for step in steps)


def _test(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    observed: xr.DataArray,
    folds: Folds,
    inner: Array | None,
    metric: str,
    scheme: str,
    n_permutations: int,
    seed: int,
    progress: bool,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Count how often permuted responses are predicted as well; control the FDR."""
    rng = np.random.default_rng(seed)
    stimulus, run = _read(responses, "stimulus"), _read(responses, "run")
    last = encoder[-1] if hasattr(encoder, "steps") else encoder
    # Copies are more targets of one factorisation, where targets do not touch each other.
    alone = getattr(last, "alpha_per", None) == "neuroid"
    batch = max(1, STACKED_TARGETS // observed.size) if alone else 1
    reached, orders = np.ones(observed.shape), []
    for number in tqdm(range(n_permutations), desc="permutations", disable=not progress):
        orders.append(permute_rows(folds, scheme, rng, stimulus=stimulus, run=run))
        if len(orders) == batch or number == n_permutations - 1:
            null = _score_permuted(encoder, features, responses, folds, inner, metric, orders)
            reached += (null >= observed.values).sum(axis=0)
            orders = []
    p_value = observed.copy(data=np.where(np.isfinite(observed), reached, np.nan))
    p_value = (p_value / (n_permutations + 1)).drop_attrs()
    return p_value, p_value.copy(data=stats.fdr(p_value.values))


def _score_permuted(
    encoder: Any,
    features: xr.DataArray,
    responses: xr.DataArray,
    folds: Folds,
    inner: Array | None,
    metric: str,
    orders: list[Array],
) -> Array:
    """Refit and score permuted responses: (permutation, neuroid[, time])."""
    values = np.concatenate([responses.values[order] for order in orders], axis=1)
    neuroids = [str(number) for number in range(values.shape[1])]
    stacked = xr.DataArray(values, dims=responses.dims, coords={"neuroid": neuroids})
    total = np.zeros(values.shape[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for train, test in folds:
            model = _fit(encoder, features, stacked, train, inner)
            guess = stacked[test].copy(data=np.asarray(model.predict(features[test])))
            total += scores.score(stacked[test], guess, metric=metric).values
    return (total / len(folds)).reshape(len(orders), *responses.shape[1:])
