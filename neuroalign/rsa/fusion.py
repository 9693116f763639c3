"""When a region's geometry appears: RDMs in time (MEG, EEG) against RDMs in space (fMRI)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance, schema
from neuroalign.errors import AlignError, SchemaError, choose, some
from neuroalign.rsa._fusion import (
    SUBJECT,
    Columns,
    Sides,
    judge_all,
    multiply,
    permute_score,
    share_variance,
    time_courses,
)
from neuroalign.rsa._label_permutations import (
    draw_orders,
    find_basis,
    normalise_rows,
    pool_rows,
)
from neuroalign.rsa._stacks import Stack, fold, reorder, unfold
from neuroalign.rsa.comparisons import RESIDUAL
from neuroalign.rsa.inference import noise_ceiling
from neuroalign.rsa.joining import gather_rdms
from neuroalign.rsa.models import Models, as_models

Array = npt.NDArray[Any]
# Which side keeps its subjects: (time, roi). The other one is averaged over its own.
UNITS: dict[str, tuple[bool, bool]] = {
    "time": (True, False),
    "roi": (False, True),
    "same": (True, True),
    "none": (False, False),
}


def fuse(
    rdms_time: xr.DataArray | Mapping[str, xr.DataArray],
    rdms_roi: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    method: str = "spearman",
    units: str = "auto",
    controls: xr.DataArray | None = None,
    model: Models | None = None,
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    cluster_level: float = 0.05,
    alpha: float = 0.05,
    onset_length: int = 1,
    peak_window: tuple[float, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Compare RDMs of each time with RDMs of each region.

    Parameters
    ----------
    rdms_time : DataArray ([subject,] time, pair) or square
        Such as of M/EEG. Dims in any order; time in s. Or a mapping of subject to RDMs.
    rdms_roi : DataArray ([subject,] roi, pair) or square
        Such as of fMRI, of the same conditions, of these or of other subjects.
    method : {"spearman", "pearson", "cosine", "rho_a", "whitened_cosine", "whitened_correlation"}
    units : {"auto", "time", "roi", "same", "none"}
        Whose subjects the score keeps; RDMs of the other side are normalised and averaged first.
        ``same``: each subject's times with its own regions, matched by name. ``auto``: those of
        ``rdms_time``, else those of ``rdms_roi``, where there are any.
    controls : DataArray (..., pair) or (..., first, second), optional
        RDMs held constant (partial correlation), for ``spearman`` and ``pearson``.
    model : Model, mapping of name to RDM, or DataArray (rdm, pair), optional
        Also give the variance of RDMs in time that each model and each region explain in common.
    n_permutations : int
        Orders of the conditions, the same for all regions and times.
    n_bootstrap : int
        Resamples of subjects for intervals of latencies.
    cluster_level : float
        Times above this quantile (from above) of their own null form clusters.
    alpha : float
        Onsets lie above what the largest score of all reaches in this share of permutations.
    onset_length : int
        Neighbouring times that an onset must stay above.
    peak_window : (float, float), optional
        Where to look for peaks [s].
    level : float
        Of intervals.
    seed : int

    Returns
    -------
    Dataset
        Of kind ``estimate``. ``score`` (roi, time[, subject]) and its ``mean`` (roi, time);
        ``p_value`` (one-sided) of each, ``p_fwer`` for all at once, ``cluster`` and ``p_cluster``
        of neighbouring times, corrected over times and regions. ``onset`` and ``peak`` (roi) [s];
        with subjects ``onset_lower``, ``onset_upper``, ``onset_share`` (of resamples with one),
        ``peak_lower``, ``peak_upper``, and ``peak_difference`` (roi, roi_other) with its bounds and
        ``peak_difference_p``. ``time_ceiling_lower`` and ``_upper`` (time), ``roi_ceiling_lower``
        and ``_upper`` (roi): noise ceilings of each side that has subjects; the ceiling of the
        side of ``units`` bounds ``score``. With ``model``: ``commonality`` (model, roi, time[,
        subject]), ``commonality_p_value``, ``commonality_p_fwer`` and ``commonality_p_cluster``.

    Raises
    ------
    AlignError
        When conditions, or subjects of ``units="same"``, differ.
    SchemaError, ValueError

    Notes
    -----
    The permutation asks whether conditions matter, for these subjects. For a test over subjects
    give ``score`` to ``stats.find_clusters``. A cluster says that there is something, not that each
    of its times differs, nor when it begins. With controls, residuals are permuted and cleaned of
    the controls again (Dekker et al. 2007); under ``spearman`` they are removed linearly from
    ranks, which leaves a little of a strong one. Commonality is R2 of the region plus R2 of the
    model less R2 of both; it is negative where one suppresses noise of the other.

    References
    ----------
    Cichy, Pantazis & Oliva (2014), Nature Neuroscience 17, 455-462, doi:10.1038/nn.3635;
    Hebart et al. (2018), eLife 7:e32816, doi:10.7554/eLife.32816;
    Dekker, Krackhardt & Snijders (2007), Psychometrika 72, 563-581.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> region = rng.random((2, 45))
    >>> course = np.stack([rng.random((4, 45)), region[[0] * 4], region[[1] * 4]], axis=1)
    >>> names = list("abcdefghij")
    >>> from neuroalign.rsa import from_matrix
    >>> people, times = ["s1", "s2", "s3", "s4"], [0.0, 0.1, 0.2]
    >>> meg = from_matrix(course, names, lead={"subject": people, "time": times})
    >>> fmri = from_matrix(region, names, lead={"roi": ["V1", "IT"]})
    >>> fuse(meg, fmri, n_permutations=200)["peak"].values.tolist()
    [0.1, 0.2]
    """
    _check_levels(cluster_level=cluster_level, alpha=alpha, level=level)
    rdms_time = gather_rdms(rdms_time, "rdms_time", SUBJECT)
    rdms_roi = gather_rdms(rdms_roi, "rdms_roi", SUBJECT)
    in_time, in_space = _read(rdms_time, "time", "rdms_time"), _read(rdms_roi, "roi", "rdms_roi")
    in_space = _reorder(in_space, in_time.labels)
    if units == "auto":
        units = next((s.lead[1] for s in (in_time, in_space) if len(s.values) > 1), "none")
    kept = choose(UNITS, units, "units")
    basis = find_basis(controls, in_time.labels, method)
    subjects = _find_subjects(in_time, in_space, kept)
    if units == "same":
        in_space = _match_subjects(in_time, in_space)
    pooled = [
        one.values if keep or len(one.values) == 1 else pool_rows(one.values, method)[None]
        for one, keep in zip((in_time, in_space), kept, strict=True)
    ]
    sides = Sides(pooled[0], pooled[1], method, basis)
    times = np.asarray(in_time.coords["time"], dtype=np.float64)
    _check_latencies(times, onset_length, peak_window)
    orders = draw_orders(len(in_time.labels), n_permutations, seed)

    Z = normalise_rows(sides.time, method, basis)
    score = np.moveaxis(multiply(normalise_rows(sides.roi, method, basis), Z), 0, -1)
    null = permute_score(sides, Z, orders)
    mean = score.mean(axis=-1)
    columns: Columns = {
        "score": (("roi", "time", SUBJECT), score),
        "mean": (("roi", "time"), mean),
    }
    columns |= judge_all(mean, null, cluster_level, ("roi", "time"))
    threshold = float(np.quantile(null.reshape(len(null), -1).max(axis=1), 1 - alpha))
    n_draws = n_bootstrap if subjects is not None else 0
    columns |= time_courses(score, times, threshold, onset_length, peak_window, n_draws,
                             level, seed)  # fmt: skip
    for one in (in_time, in_space):
        columns |= _bound(one, method, basis)
    coords: dict[str, Any] = {"time": in_time.coords["time"], "roi": in_space.coords["roi"]}
    coords["roi_other"] = np.asarray(coords["roi"])
    if model is not None:
        coords["model"], rows = _read_models(model, in_time.labels, method)
        columns |= share_variance(sides, Z, rows, orders, cluster_level)
    if subjects is None:
        columns = {key: _drop_subject(*column) for key, column in columns.items()}
    else:
        coords[SUBJECT] = subjects
    parameters: dict[str, str | float | bool | list[str]] = {
        "method": method,
        "units": units,
        "n_permutations": n_permutations,
        "n_bootstrap": n_bootstrap,
        "cluster_level": cluster_level,
        "alpha": alpha,
        "onset_length": onset_length,
        "level": level,
        "partial": controls is not None,
    }
    hashes = {"rdms_time": rdms_time, "rdms_roi": rdms_roi}
    attrs = {
        **{key: int(v) if isinstance(v, bool) else v for key, v in parameters.items()},
        "kind": "estimate",
        "method": f"fusion ({method})",
        "metric": method,
        "onset_threshold": threshold,
        "seed": seed,
        "provenance": provenance.collect(
            parameters, {key: provenance.hash_array(one) for key, one in hashes.items()}
        ),
    }
    return schema.check_estimate(xr.Dataset(columns, coords=coords, attrs=attrs))


def _check_levels(**levels: float) -> None:
    for name, value in levels.items():
        if not 0 < value < 1:
            raise ValueError(f"{name}: expected a number between 0 and 1, got {value}.")


def _check_latencies(
    times: Array, onset_length: int, peak_window: tuple[float, float] | None
) -> None:
    if not 1 <= onset_length <= len(times):
        raise ValueError(
            f"onset_length: expected 1 to {len(times)} times, got {onset_length}. Lower it."
        )
    if (
        peak_window is not None
        and not ((times >= peak_window[0]) & (times <= peak_window[1])).any()
    ):
        raise ValueError(
            f"peak_window: expected times from {times[0]:g} to {times[-1]:g} s, got {peak_window}."
        )


def _read(rdms: xr.DataArray, dim: str, name: str) -> Stack:
    """Bring a stack to (subject or 1, dim, pair), with a coord for dim."""
    stack = unfold(rdms, name)
    if dim not in stack.lead or set(stack.lead) - {dim, SUBJECT}:
        raise SchemaError(
            f"{name}: expected leading dims '{dim}' and at most '{SUBJECT}', got {stack.lead}. "
            f"Compute RDMs with over='{dim}', and select one of the others."
        )
    values = stack.values if SUBJECT in stack.lead else stack.values[None]
    lead = stack.lead if SUBJECT in stack.lead else (SUBJECT, *stack.lead)
    values = np.moveaxis(values, [lead.index(SUBJECT), lead.index(dim)], [0, 1])
    given = {key: rdms[key].values for key in (dim, SUBJECT) if key in rdms.coords}
    coords = {dim: np.arange(values.shape[1]), SUBJECT: np.arange(len(values)).astype(str)} | given
    return Stack(values, stack.labels, (SUBJECT, dim), coords)


def _reorder(stack: Stack, labels: Array) -> Stack:
    extra = set(stack.labels.tolist()) - set(labels.tolist())
    if extra:
        raise AlignError(
            f"rdms_roi: expected the conditions of rdms_time, got {len(extra)} more "
            f"({some(sorted(extra))}). Keep those that both have (rsa.align_rdms, how='inner')."
        )
    return stack._replace(
        values=reorder(stack.values, stack.labels, labels, "rdms_roi"), labels=labels
    )


def _match_subjects(in_time: Stack, in_space: Stack) -> Stack:
    ours, theirs = (np.atleast_1d(one.coords[SUBJECT]).tolist() for one in (in_time, in_space))
    if sorted(ours) != sorted(theirs):
        raise AlignError(
            f"rdms_roi: expected the subjects of rdms_time, got {some(theirs)} against "
            f"{some(ours)}. Keep those that both have, or use units='time'."
        )
    return in_space._replace(values=in_space.values[[theirs.index(name) for name in ours]])


def _find_subjects(in_time: Stack, in_space: Stack, kept: tuple[bool, bool]) -> Array | None:
    """Names of the subjects of the score, or None when it has none or only one."""
    for stack, keep in zip((in_time, in_space), kept, strict=True):
        if keep and len(stack.values) > 1:
            return np.asarray(stack.coords[SUBJECT])
    return None


def _bound(stack: Stack, method: str, basis: Array | None) -> Columns:
    """Noise ceilings (dim,) of the side of a stack that has subjects."""
    if len(stack.values) < 2:
        return {}
    dim, values = stack.lead[1], stack.values
    if basis is not None:
        # Residuals have mean 0 and norm 1: their cosine is the partial correlation.
        values, method = normalise_rows(values, method, basis), "cosine"
    found = noise_ceiling(fold(values, stack.labels, stack.lead), method=method)
    return {
        f"{dim}_ceiling_{end}": ((dim,), found[f"ceiling_{end}"].values)
        for end in ("lower", "upper")
    }


def _read_models(model: Models, labels: Array, method: str) -> tuple[Array, Array]:
    """Names and RDMs (model, pair) of models that have one each."""
    if method not in RESIDUAL:
        raise ValueError(
            f"model: expected method 'pearson' or 'spearman', got '{method}'. "
            "Other comparisons explain no variance."
        )
    known = as_models(model)
    several = [one.name for one in known if len(one.basis) != 1]
    if several:
        raise ValueError(
            f"model: expected one RDM each, got several in {some(several)}. Fit and predict first."
        )
    rows = [reorder(one.basis, one.labels, labels, f"model '{one.name}'") for one in known]
    return np.array([one.name for one in known]), np.concatenate(rows)


def _drop_subject(dims: tuple[str, ...], values: Array) -> tuple[tuple[str, ...], Array]:
    return (dims[:-1], values[..., 0]) if dims[-1] == SUBJECT else (dims, values)
