"""From model RDMs and the RDMs of subjects to scores, intervals, tests and noise ceilings."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from neuroalign import provenance, schema
from neuroalign.errors import SchemaError, choose
from neuroalign.rsa._bootstrap import ARMS, MIN_UNIQUE, correct, draw_all, remove_fold_variance
from neuroalign.rsa._engine import Folds, Plan, average, evaluate_folds, evaluate_whole
from neuroalign.rsa._pairs import count_conditions, permute_pairs
from neuroalign.rsa._results import wrap_result
from neuroalign.rsa._sentences import describe_ceiling
from neuroalign.rsa._stacks import Stack, reorder, unfold
from neuroalign.rsa.comparisons import check_name, refuse_shapes
from neuroalign.rsa.joining import gather_rdms, refuse_swapped
from neuroalign.rsa.models import Models, as_models

Array = npt.NDArray[Any]
# Folds dealt anew in each resample, whose variance is taken out again.
N_DEALS = 2
# Numbers in all RDMs below which threads of one product cost more than they give.
SMALL = 1_000_000
SUPPORTS = {
    "none": "new subjects, for these stimuli (t test over subjects)",
    "subjects": "new subjects, for these stimuli",
    "stimuli": "new stimuli, for these subjects",
    "both": "new subjects and new stimuli",
}
CROSS_VALIDATIONS: dict[str, tuple[bool, bool]] = {
    "none": (False, False),
    "stimuli": (True, False),
    "subjects": (False, True),
    "both": (True, True),
}


class Options(NamedTuple):
    """What each slice of the data is evaluated with."""

    method: str
    bootstrap: str
    n_bootstrap: int
    folds: Folds
    n_permutations: int
    seed: int


def infer(
    models: Models,
    data: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    method: str = "cosine",
    over: str = "subject",
    bootstrap: str = "both",
    n_bootstrap: int = 1000,
    cross_validate: str = "auto",
    n_folds: int = 4,
    n_permutations: int = 0,
    level: float = 0.95,
    fdr_method: str = "bh",
    seed: int = 0,
) -> xr.Dataset:
    """Test how similar models are to the RDMs of subjects, and to which population it extends.

    Parameters
    ----------
    models : Model, sequence of Model, mapping of name to RDM, or DataArray (rdm, pair)
        Aligned to the data by label; conditions that the data lack are dropped.
    data : DataArray (subject, ..., pair) or (subject, ..., first, second), or mapping of subject \
to RDM
        Complete RDMs. Other leading dims (roi, time) are tested one by one.
    method : {"cosine", "pearson", "whitened_cosine", "whitened_correlation", "spearman", "rho_a", \
"tau_a", "tau_b"}
        Comparison. ``tau_a`` and ``tau_b`` take quadratic time in pairs.
    over : str
        The leading dim of the data that holds independent subjects.
    bootstrap : {"both", "subjects", "stimuli", "none"}
        What is drawn anew, and so what the tests generalise to. ``none`` is a t test over subjects.
        Copies are weights of pairs: no condition is lost or entered twice.
    n_bootstrap : int
        Resamples; of ``both``, three times so many.
    cross_validate : {"auto", "none", "subjects", "stimuli", "both"}
        What is held out when weights of models are fitted. ``auto``: as in ``bootstrap`` when any
        model is fitted, nothing otherwise. All models are scored on the same held-out parts.
    n_folds : int
        Folds of conditions and of subjects (as many as there are, at most).
    n_permutations : int
        Orders of condition labels for ``p_permutation``; they test whether a model is related to
        these data at all.
    level : float
        Of the intervals.
    fdr_method : str
        As in `neuroalign.stats.fdr`, over all models (pairs of models) and slices.
    seed : int

    Returns
    -------
    Dataset
        Of kind ``rsa``: ``score`` (model, subject, ...), ``mean`` (model, ...) with
        ``standard_error``, ``interval_lower``, ``interval_upper``; ``p_value`` against 0
        (one-sided) and ``q_value``;
        ``p_ceiling`` against the lower noise ceiling (two-sided); ``difference``, ``pairwise_p``
        and ``pairwise_q`` (model, model_other, ...; two-sided); ``ceiling_lower`` and
        ``ceiling_upper`` (...). With ``n_permutations``: ``p_permutation`` (model, ...), the share
        of orders of labels that score as high, never below 1 / (n_permutations + 1). With a
        bootstrap: ``draws`` (bootstrap, model, ...), the mean score of each resample (of both
        dims under ``both``), for other intervals; their spread is larger than the standard
        error, which is corrected for what both dims share. ``attrs['generalises_to']`` says what
        the tests support.

    Raises
    ------
    SchemaError
        When the data lack the dim of subjects, or have too few subjects or conditions.
    AlignError
        When a model lacks a condition.
    ValueError
        On unknown options.

    Notes
    -----
    Needed are 4 conditions or more, 2 subjects or more but for ``bootstrap="stimuli"``, and 6
    conditions a fold where stimuli are held out. Degrees of freedom are the smaller number of what
    is drawn, less 1: with 5 subjects or 10 conditions tests have little power.

    False positives at .05 in 2,000 simulated studies of 12 subjects and 16 conditions, against
    zero and between two equal models: .048 and .047 (``none``), .047 and .047 (``subjects``), .016
    and .0015 (``stimuli``), .015 and .0005 (``both``). Tests over stimuli are conservative: a
    resample of conditions also repeats the noise of their pairs. Against the lower ceiling: .040
    (``none``) and .042 (``subjects``). Pools of a ceiling stay whole in each resample; drawn anew
    are the subjects that are compared with them, each with the pool of all others.

    References
    ----------
    Schütt et al. (2023), eLife 12, e82566; Nili et al. (2014), PLoS Computational Biology 10.

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> rng = np.random.default_rng(0)
    >>> names = [f"image-{k:02d}" for k in range(12)]
    >>> good, other = rng.random((2, 66))
    >>> people = {f"sub-{s}": from_matrix(good + rng.random(66), names) for s in range(8)}
    >>> models = {"good": from_matrix(good, names), "other": from_matrix(other, names)}
    >>> found = infer(models, people, method="rho_a", bootstrap="subjects", n_bootstrap=100)
    >>> (found["q_value"] < 0.05).values.tolist(), found.attrs["generalises_to"]
    ([True, False], 'new subjects, for these stimuli')
    >>> bool(found["mean"].sel(model="good") > found["mean"].sel(model="other"))
    True
    """
    check_name(method)
    refuse_shapes(method)
    known = as_models(models)
    choose(ARMS, bootstrap, "bootstrap")
    data = gather_rdms(data, "data", over)
    refuse_swapped(models, data, over)
    stack = _subjects_first(unfold(data, "data"), over)
    n_subjects, n_stimuli = stack.values.shape[0], len(stack.labels)
    _check_sizes(bootstrap, n_subjects, n_stimuli, n_bootstrap)
    fitted = any(model.flexible for model in known)
    if cross_validate == "auto":
        cross_validate = {"none": "subjects"}.get(bootstrap, bootstrap) if fitted else "none"
    held = choose(CROSS_VALIDATIONS, cross_validate, "cross_validate")
    _check_folds(held, n_folds, n_subjects, n_stimuli)
    folds = Folds(*(n_folds if one else None for one in held))
    options = Options(method, bootstrap, n_bootstrap, folds, n_permutations, seed)
    bases = [
        reorder(model.basis, model.labels, stack.labels, f"model '{model.name}'") for model in known
    ]
    flat = stack.values.reshape(n_subjects, -1, stack.values.shape[-1])
    slices = []
    for index in range(flat.shape[1]):
        rows = np.ascontiguousarray(flat[:, index])
        plan = Plan(known, bases, rows, method)
        with threadpool_limits(1 if plan.size < SMALL else None, "blas"):
            slices.append(_infer_slice(plan, rows, bases, options))
    freedom = {"subjects": n_subjects, "none": n_subjects, "stimuli": n_stimuli}
    dof = freedom.get(bootstrap, min(n_subjects, n_stimuli)) - 1
    parameters: dict[str, str | float | bool | list[str]] = {
        "method": method,
        "bootstrap": bootstrap,
        "n_bootstrap": n_bootstrap,
        "cross_validate": cross_validate,
        "n_folds": n_folds,
        "n_permutations": n_permutations,
    }
    attrs: dict[str, Any] = {
        "kind": "rsa",
        "metric": method,
        "model": ", ".join(model.name for model in known),
        "seed": seed,
        "level": level,
        "fdr_method": fdr_method,
        "degrees_of_freedom": dof,
        "generalises_to": SUPPORTS[bootstrap].replace("subjects", _name_units(over)),
        "fitted_without_cross_validation": int(fitted and not folds.needed),
        **{key: value for key, value in parameters.items() if key != "method"},
        "method": f"RSA ({method})",
        "provenance": provenance.collect(parameters, {"data": provenance.hash_array(data)}),
    }
    names = np.array([model.name for model in known])
    return schema.check_rsa(wrap_result(slices, names, stack, student(dof), attrs))


def _name_units(over: str) -> str:
    """Say what was drawn: people, or whatever the dim holds."""
    return "subjects" if over == "subject" else f"entries of '{over}'"


def noise_ceiling(
    rdms: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    method: str = "cosine",
    over: str = "subject",
) -> xr.Dataset:
    """Bound the similarity that any model can reach with the RDMs of subjects, on average.

    Parameters
    ----------
    rdms : DataArray (subject, ..., pair) or (subject, ..., first, second), or mapping of subject \
to RDM
    method : str
        Comparison, as in `infer`.
    over : str
        The leading dim that holds independent subjects.

    Returns
    -------
    Dataset
        ``ceiling_lower`` (...), each subject with the average of the others; ``ceiling_upper``
        (...), with the average of all. Averages are over RDMs normalised as the comparison does;
        under ``tau_a`` and ``tau_b`` over ranks, where the upper value is not a strict bound.

    Raises
    ------
    SchemaError
        Without two subjects.
    ValueError
        When the comparison is unknown.

    References
    ----------
    Nili et al. (2014), PLoS Computational Biology 10, e1003553.

    Examples
    --------
    >>> from neuroalign.rsa import from_matrix
    >>> people = {name: from_matrix(np.arange(6.0), "abcd") for name in ("s1", "s2")}
    >>> noise_ceiling(people)["ceiling_upper"].round(6).item()
    1.0
    """
    refuse_shapes(method)
    stack = _subjects_first(unfold(gather_rdms(rdms, "rdms", over), "rdms"), over)
    n, n_stimuli = len(stack.values), len(stack.labels)
    _check_sizes("subjects", n, n_stimuli, 1)
    flat = stack.values.reshape(n, -1, stack.values.shape[-1])
    ones = np.ones(n_stimuli), np.ones(n)
    found = [
        average(evaluate_whole(Plan([], [], flat[:, index], method), *ones), ones[1])
        for index in range(flat.shape[1])
    ]
    shape = stack.values.shape[1:-1]
    bounds = np.array(found).T.reshape(2, *shape)
    coords = {key: c for key, c in stack.coords.items() if over not in c.dims}
    made = xr.Dataset(
        {
            "ceiling_lower": (stack.lead[1:], bounds[0]),
            "ceiling_upper": (stack.lead[1:], bounds[1]),
        },
        coords=coords,
        attrs={"kind": "estimate", "method": f"noise ceiling ({method})", "n_subjects": n},
    )
    return made.assign_attrs(headline="ceiling_lower", verdict=describe_ceiling(made, method))


def _subjects_first(stack: Stack, over: str) -> Stack:
    if over not in stack.lead:
        raise SchemaError(
            f"data: expected a leading dim '{over}', got {stack.lead}. Name another in over= if "
            "its entries are independent (average sessions of a person first); pass one RDM "
            "alone as {'name': rdm}, with bootstrap='stimuli'."
        )
    place = stack.lead.index(over)
    lead = (over, *(dim for dim in stack.lead if dim != over))
    return stack._replace(values=np.moveaxis(stack.values, place, 0), lead=lead)


def _check_sizes(bootstrap: str, n_subjects: int, n_stimuli: int, n_bootstrap: int) -> None:
    if bootstrap != "stimuli" and n_subjects < 2:
        raise SchemaError(
            f"data: expected 2 subjects or more for bootstrap='{bootstrap}', got {n_subjects}. "
            "Use bootstrap='stimuli', which generalises to new stimuli only."
        )
    if n_stimuli < MIN_UNIQUE:
        raise SchemaError(
            f"data: expected {MIN_UNIQUE} conditions or more, got {n_stimuli}. Add conditions."
        )
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap: expected 1 or more, got {n_bootstrap}. Use 1000.")


def _check_folds(held: tuple[bool, bool], n_folds: int, n_subjects: int, n_stimuli: int) -> None:
    if any(held) and n_folds < 2:
        raise ValueError(f"n_folds: expected 2 or more, got {n_folds}.")
    if held[1] and n_subjects < 2:
        raise SchemaError(
            f"data: expected 2 subjects or more to hold some out, got {n_subjects}. "
            "Use cross_validate='stimuli'."
        )
    # A resample keeps about 63 % of the conditions; each fold needs three.
    if held[0] and n_stimuli < 6 * n_folds:
        raise SchemaError(
            f"data: expected {6 * n_folds} conditions or more for {n_folds} folds of them, got "
            f"{n_stimuli}. Lower n_folds, or use cross_validate='subjects'."
        )


def _infer_slice(plan: Plan, rows: Array, bases: list[Array], options: Options) -> dict[str, Array]:
    """Evaluate one RDM a subject: scores, means, standard errors of all contrasts."""
    n_subjects = len(rows)
    n_stimuli = count_conditions(rows.shape[1])
    rng = np.random.default_rng([options.seed, 7])
    ones = np.ones(n_stimuli), np.ones(n_subjects)

    def evaluate(counts: Array, subjects: Array) -> Any:
        if options.folds.needed:
            return evaluate_folds(plan, counts, subjects, options.folds, rng)
        return evaluate_whole(plan, counts, subjects)

    found = evaluate(*ones)
    contrasts = make_contrasts(len(plan.models))
    n_deals = N_DEALS if options.folds.needed else 1
    arms = ARMS[options.bootstrap]
    draws = np.zeros((0, len(plan.models)))
    if arms:
        values = np.zeros((len(arms), options.n_bootstrap, n_deals, contrasts.shape[1]))
        drawn = draw_all(n_stimuli, n_subjects, options.n_bootstrap, options.seed)
        # Subjects change nothing but the average where nothing is fitted to them.
        once = not (plan.fitted or options.folds.needed)
        for index, resample in enumerate(drawn):
            new = evaluate(resample[0], ones[1]) if once and arms != ARMS["subjects"] else found
            for arm, chosen in enumerate(arms):
                one = [c if use else w for c, w, use in zip(resample, ones, chosen, strict=True)]
                for deal in range(n_deals):
                    known = (new if chosen[0] else found) if once else evaluate(*one)
                    values[arm, index, deal] = average(known, one[1])
        draws = values[-1].mean(axis=1)[:, :-2]
        if n_subjects == 1:
            # There is no ceiling, and no contrast with it is reported.
            values[..., -2] = 0.0
        variances = [remove_fold_variance(arm @ contrasts.T) for arm in values]
        variance = correct(variances, options.bootstrap, n_subjects, n_stimuli)
    else:
        each = np.concatenate([found.scores, found.lower[None], found.upper[None]])
        variance = (contrasts @ each).var(axis=1, ddof=1) / n_subjects
    means = average(found, ones[1])
    result = {"score": found.scores, "mean": means, "draws": draws}
    result |= {"contrast": contrasts @ np.nan_to_num(means), "error": np.sqrt(variance)}
    if options.n_permutations:
        result["p_permutation"] = _permute(plan, rows, bases, options, means[:-2])
    return result


def make_contrasts(n_models: int) -> Array:
    """Rows of (model..., lower, upper): each model, each less the lower ceiling, each pair."""
    identity = np.eye(n_models, n_models + 2)
    lower = np.eye(1, n_models + 2, n_models)
    first, second = np.triu_indices(n_models, 1)
    return np.concatenate([identity, identity - lower, identity[first] - identity[second]])


def _permute(
    plan: Plan, rows: Array, bases: list[Array], options: Options, observed: Array
) -> Array:
    """Share of condition orders, the same in all subjects, that score as high as the labels do."""
    rng = np.random.default_rng([options.seed, 11])
    n_stimuli = count_conditions(rows.shape[1])
    ones = np.ones(n_stimuli), np.ones(len(rows))
    reached = np.zeros(len(observed))
    for _ in range(options.n_permutations):
        shuffled = permute_pairs(rows, rng.permutation(n_stimuli), n_stimuli)
        null = Plan(plan.models, bases, shuffled, options.method)
        if options.folds.needed:
            found = evaluate_folds(null, *ones, options.folds, rng)
        else:
            found = evaluate_whole(null, *ones)
        # Equal scores may differ in the last digit, as sums run in another order.
        reached += average(found, ones[1])[:-2] >= observed - 1e-12
    return np.asarray((1 + reached) / (1 + options.n_permutations))
