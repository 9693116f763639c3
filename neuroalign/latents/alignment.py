"""Comparing latents with a truth, or with each other, up to what the model leaves undetermined.

In: latents (..., latent) of the same trials. Out: latents moved into the frame of the others, or
numbers. A map with more freedom than the model's ``identifiability_`` flatters it, and one with
less punishes what no data could tell. To add a freedom: a function in ``ALIGNMENTS``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.linalg import orthogonal_procrustes, subspace_angles
from scipy.optimize import linear_sum_assignment

from neuroalign.errors import SchemaError, choose
from neuroalign.latents._input_checks import check_agreement, check_names, read_names

Array = npt.NDArray[Any]


class Frame(NamedTuple):
    """``fitted @ weights + offset`` lies in the frame of the reference."""

    weights: Array
    offset: Array


def _fit_affine(fitted: Array, reference: Array) -> Array:
    return np.asarray(np.linalg.lstsq(fitted, reference, rcond=None)[0])


def _fit_rotation(fitted: Array, reference: Array) -> Array:
    """Rotation or reflection; the smaller set of latents is padded with zeros."""
    p, q = fitted.shape[1], reference.shape[1]
    size = max(p, q)
    wide = [np.pad(one, ((0, 0), (0, size - one.shape[1]))) for one in (fitted, reference)]
    return np.asarray(orthogonal_procrustes(*wide)[0][:p, :q])


def _match(correlation: Array) -> Array:
    """Weights of 0 and 1 (fitted, reference) that pair latents for the largest total."""
    weights = np.zeros(correlation.shape)
    weights[linear_sum_assignment(correlation, maximize=True)] = 1.0
    return weights


def _fit_permutation_sign(fitted: Array, reference: Array) -> Array:
    correlation = _correlate(fitted, reference)
    return _match(np.abs(correlation)) * np.where(correlation < 0, -1.0, 1.0)


def _fit_permutation(fitted: Array, reference: Array) -> Array:
    return _match(_correlate(fitted, reference))


ALIGNMENTS: dict[str, Callable[[Array, Array], Array]] = {
    "affine": _fit_affine,
    "rotation": _fit_rotation,
    "permutation_sign": _fit_permutation_sign,
    "permutation": _fit_permutation,
}


def align_latents(
    fitted: Any, reference: Any, *, allowed: str = "affine", train: Any = None
) -> Any:
    """Move latents into the frame of others.

    Parameters
    ----------
    fitted : DataArray or array (..., latent)
    reference : DataArray or array (..., latent)
        The same trials and bins; the number of latents may differ.
    allowed : {"affine", "rotation", "permutation_sign", "permutation"}
        What may be undone: pass ``model.identifiability_``. All but a permutation also shift;
        a shift of the mean is part of it.
    train : indices on the first axis, optional
        The trials that fit the map; all when not given. Score on the others.

    Returns
    -------
    DataArray or array (..., latent)
        ``fitted`` in the frame and with the number of latents of ``reference``.

    Raises
    ------
    SchemaError
        When the leading axes differ, or no row is finite.
    AlignError
        When both are labelled and name other stimuli or times.
    ValueError
        On an unknown ``allowed``.

    References
    ----------
    Schönemann (1966), Psychometrika 31, 1-10 (rotation); Kuhn (1955), Nav. Res. Logist. Q. 2, 83-97
    (permutation).

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.latents import align_latents
    >>> truth = np.random.default_rng(0).normal(size=(5, 20, 2))
    >>> turned = truth @ np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> bool(np.allclose(align_latents(turned, truth, allowed="rotation"), truth))
    True
    """
    fit = choose(ALIGNMENTS, allowed, "allowed")
    a, b = _read_pair(fitted, reference)
    rows = slice(None) if train is None else train
    frame = _find_frame(fit, *_finite_rows(a[rows], b[rows]))
    moved = a @ frame.weights + frame.offset
    if not isinstance(fitted, xr.DataArray):
        return moved
    last = fitted.dims[-1]
    coords = {key: c for key, c in fitted.coords.items() if last not in c.dims}
    if isinstance(reference, xr.DataArray) and reference.dims[-1] in reference.coords:
        coords[last] = (last, reference[reference.dims[-1]].values)
    return xr.DataArray(moved, dims=fitted.dims, coords=coords, attrs=fitted.attrs)


def score_recovery(
    fitted: Any,
    reference: Any,
    train: Any,
    test: Any,
    *,
    allowed: str = "affine",
    matched: bool = False,
) -> Array:
    """Variance of each true latent explained on test trials by a map fitted on training trials.

    Parameters
    ----------
    fitted, reference : DataArray or array (trial, ..., latent)
    train, test : indices or masks on the first axis
    allowed : {"affine", "rotation", "permutation_sign", "permutation"}
        As in `align_latents`.
    matched : bool
        Explain each true latent only by the fitted one that is paired with it (by the largest
        correlation on training trials), with a scale and an offset. Needs ``allowed="affine"``.

    Returns
    -------
    array (latent,)
        R2, one for each latent of ``reference``, about its mean over test trials.

    Raises
    ------
    SchemaError
        When the leading axes differ, or no row is finite.
    AlignError
        When both are labelled and name other stimuli or times.
    ValueError
        On an unknown ``allowed``, or ``matched`` with another than "affine".

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.latents import score_recovery
    >>> truth = np.random.default_rng(0).normal(size=(6, 20, 2))
    >>> mixed = truth @ np.array([[1.0, 2.0], [0.0, 1.0]]) + 3.0
    >>> score_recovery(mixed, truth, [0, 1, 2], [3, 4, 5]).round(6).tolist()
    [1.0, 1.0]
    """
    fit = choose(ALIGNMENTS, allowed, "allowed")
    if matched and allowed != "affine":
        raise ValueError(
            f"matched: expected allowed='affine', got '{allowed}'. The other maps pair or turn "
            "all latents at once."
        )
    a, b = _read_pair(fitted, reference)
    known = _finite_rows(a[train], b[train])
    frame = _find_frame(_fit_matched if matched else fit, *known)
    x, z = _finite_rows(a[test], b[test])
    left = ((z - x @ frame.weights - frame.offset) ** 2).sum(axis=0)
    return np.asarray(1.0 - left / ((z - z.mean(axis=0)) ** 2).sum(axis=0))


def _fit_matched(fitted: Array, reference: Array) -> Array:
    """One slope for each pair."""
    pairs = _match(np.abs(_correlate(fitted, reference)))
    slopes = (fitted.T @ reference) / np.maximum((fitted**2).sum(axis=0), 1e-300)[:, None]
    return np.asarray(pairs * slopes)


def correlate_matched(fitted: Any, reference: Any) -> float:
    """Mean absolute correlation of latents paired one to one (MCC).

    Parameters
    ----------
    fitted, reference : DataArray or array (..., latent)

    Returns
    -------
    float
        1 when latents agree up to order, sign and scale; the mean is over the smaller set.

    Raises
    ------
    SchemaError
        When the leading axes differ, or no row is finite.
    AlignError
        When both are labelled and name other stimuli or times.

    References
    ----------
    Hyvärinen & Morioka (2016), NeurIPS, section 5: mean correlation coefficient.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.latents import correlate_matched
    >>> truth = np.random.default_rng(0).normal(size=(50, 2))
    >>> round(correlate_matched(-2 * truth[:, ::-1], truth), 6)
    1.0
    """
    found = np.abs(_correlate(*_finite_rows(*_read_pair(fitted, reference))))
    return float(found[linear_sum_assignment(found, maximize=True)].mean())


def measure_angles(first: Any, second: Any) -> Array:
    """Principal angles between the spaces that two sets of loadings span.

    Parameters
    ----------
    first, second : array (neuroid, latent)

    Returns
    -------
    array (min of the two numbers of latents,)
        Degrees, increasing. Random spaces of few dims are nearly at right angles already: an
        angle near 90 is no evidence.

    Raises
    ------
    SchemaError
        When the numbers of neuroids differ, or their names where both have them.

    References
    ----------
    Björck & Golub (1973), Math. Comput. 27, 579-594.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.latents import measure_angles
    >>> measure_angles(np.eye(3)[:, :1], np.array([[1.0], [1.0], [0.0]])).round(6).tolist()
    [45.0]
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise SchemaError(
            f"second: expected (neuroid, latent) with the {a.shape[0] if a.ndim else 0} neuroids "
            f"of first, got shapes {a.shape} and {b.shape}. Take the same neuroids."
        )
    check_names(read_names(first), read_names(second), "second")
    return np.asarray(np.degrees(subspace_angles(a, b))[::-1])


def score_states(fitted: Any, reference: Any) -> tuple[float, dict[int, int]]:
    """Share of bins in the right state after the best pairing of names.

    Parameters
    ----------
    fitted, reference : array of whole numbers (...)
        States of the same bins; negative numbers and NaN mark bins without one.

    Returns
    -------
    float
    dict
        Fitted state -> true state; fitted states without a partner are not in it.

    Raises
    ------
    SchemaError
        When shapes differ, states are no whole numbers, or no bin has both.
    AlignError
        When both are labelled and name other stimuli or times.

    Examples
    --------
    >>> from neuroalign.latents import score_states
    >>> score_states([1, 1, 0, 0], [0, 0, 1, 0])
    (0.75, {0: 1, 1: 0})
    """
    check_agreement(fitted, reference, "fitted", "reference")
    a, b = _read_states(fitted, "fitted"), _read_states(reference, "reference")
    if a.shape != b.shape:
        raise SchemaError(
            f"fitted: expected the shape {b.shape} of reference, got {a.shape}. "
            "Give a state for each bin."
        )
    known = (a >= 0) & (b >= 0)
    if not known.any():
        raise SchemaError("fitted: expected bins with states >= 0, got none. Number states from 0.")
    a, b = a[known].astype(np.intp), b[known].astype(np.intp)
    together = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(together, (a, b), 1.0)
    rows, columns = linear_sum_assignment(together, maximize=True)
    pairs = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    return float(together[rows, columns].sum() / len(a)), pairs


def _read_states(states: Any, name: str) -> Array:
    values = np.asarray(states)
    if values.dtype.kind not in "biuf":
        raise SchemaError(
            f"{name}: expected whole numbers, got dtype {values.dtype}. Number states from 0."
        )
    values = np.where(np.isnan(values), -1, values)
    bad = values[values != np.rint(values)]
    if bad.size:
        raise SchemaError(
            f"{name}: expected whole numbers, got {bad[0]:g}. Of probabilities take argmax, or "
            "predict_states."
        )
    return np.asarray(values)


def _read_pair(fitted: Any, reference: Any) -> tuple[Array, Array]:
    check_agreement(fitted, reference, "fitted", "reference")
    a, b = np.asarray(fitted, np.float64), np.asarray(reference, np.float64)
    if a.ndim < 2 or a.shape[:-1] != b.shape[:-1]:
        raise SchemaError(
            f"fitted: expected the trials and bins of reference {b.shape[:-1]}, got "
            f"{a.shape[:-1]}. Transform the same trials; the last axis is latents."
        )
    return a, b


def _finite_rows(fitted: Array, reference: Array) -> tuple[Array, Array]:
    a, b = (one.reshape(-1, one.shape[-1]) for one in (fitted, reference))
    known = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
    if not known.any():
        raise SchemaError("fitted: expected bins where all are finite, got none. Check for NaN.")
    return a[known], b[known]


def _find_frame(fit: Callable[[Array, Array], Array], a: Array, b: Array) -> Frame:
    weights = fit(a - a.mean(axis=0), b - b.mean(axis=0))
    return Frame(weights, b.mean(axis=0) - a.mean(axis=0) @ weights)


def _correlate(a: Array, b: Array) -> Array:
    """Correlation (fitted, reference); 0 with a constant."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norms = np.linalg.norm(a, axis=0)[:, None] * np.linalg.norm(b, axis=0)
    return np.asarray((a.T @ b) / np.where(norms > 0, norms, np.inf))
