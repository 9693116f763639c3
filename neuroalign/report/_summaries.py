"""The few numbers that figures, tables and verdicts share."""

import ast
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import t as student

from neuroalign.errors import SchemaError, some

Array = npt.NDArray[Any]
ALPHA = 0.05
# A least p above this lets few tests, or none, pass however strong the effect.
COARSE_P = 0.01
# Numbers of permutations are advised at these steps of each power of ten, with room to spare.
ADVISED, SPARE = (1, 2, 5), 2
# How measures are called on axes and in sentences; others by their own names.
MEASURES = {
    "pearson": "Pearson r",
    "r2": "R²",
    "balanced_accuracy": "balanced accuracy",
    "bits_per_spike": "bits per spike",
    "cka_angle": "angle of centred kernels [rad]",
    "mean_score": "mean score",
    "permutation_angle": "angle after permuting units [rad]",
    "procrustes_angle": "Procrustes angle [rad]",
    "pseudo_r2": "pseudo-R²",
    "whitened_correlation": "whitened correlation",
    "whitened_cosine": "whitened cosine",
}


class Interval(NamedTuple):
    """Mean of finite values with its 95 % t-interval; ``n`` counts them."""

    mean: float
    low: float
    high: float
    n: int


def compute_interval(values: Any) -> Interval:
    """Mean and 95 % t-interval over finite values; the interval is NaN below two of them."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    n = len(finite)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(finite.mean())
    if n == 1:
        return Interval(mean, np.nan, np.nan, 1)
    half = float(student.ppf(0.975, n - 1) * finite.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def average(values: Array, axis: int | tuple[int, ...]) -> Array:
    """Mean over finite values; NaN, without a warning, where there is none."""
    finite = np.isfinite(values)
    count = finite.sum(axis=axis)
    total = np.where(finite, values, 0).sum(axis=axis, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def need_coord(array: xr.DataArray | xr.Dataset, *coords: str) -> None:
    """Raise when a coord on ``neuroid`` is missing."""
    for coord in coords:
        if coord not in array.coords or array[coord].dims != ("neuroid",):
            raise SchemaError(
                f"result: expected coord '{coord}' on 'neuroid', got {some(array.coords)}. "
                "Assign it to see this part."
            )


def reduce_to_neuroids(array: xr.DataArray) -> xr.DataArray:
    """Average over every dim but ``neuroid``; complain when nothing is finite."""
    if "neuroid" not in array.dims:
        raise SchemaError(f"score: expected dim 'neuroid', got {tuple(array.dims)}. Rename it.")
    others = tuple(number for number, dim in enumerate(array.dims) if dim != "neuroid")
    values = average(array.values, others)
    if not np.isfinite(values).any():
        raise SchemaError(
            f"score: expected finite scores, got none in {values.size} neuroids. "
            "Check for constant responses."
        )
    template = array.isel({dim: 0 for dim in array.dims if dim != "neuroid"}, drop=True)
    return template.copy(data=values).assign_attrs(array.attrs)


def get_scores(result: xr.Dataset) -> xr.DataArray:
    """Score of each neuroid (neuroid), averaged over folds and times."""
    return reduce_to_neuroids(result["score"]).assign_attrs(result.attrs)


def get_ceiling(result: xr.Dataset) -> Array | None:
    """Ceiling of each neuroid (neuroid) in units of the metric, or None.

    The stored ceiling is a share of variance: it bounds r2 as it is and a correlation by its root.
    """
    metric = result.attrs.get("metric")
    if "ceiling" not in result or metric not in ("pearson", "r2"):
        return None
    ceiling = result["ceiling"]
    others = tuple(number for number, dim in enumerate(ceiling.dims) if dim != "neuroid")
    values = average(ceiling.values, others)
    if not np.isfinite(values).any():
        return None
    return np.sqrt(np.clip(values, 0, None)) if metric == "pearson" else values


def group_by_roi(result: xr.Dataset | xr.DataArray) -> dict[str, Array]:
    """Roi -> which neuroids (bool, neuroid), in order of appearance."""
    need_coord(result, "roi")
    labels = result["roi"].values.astype(str)
    return {roi: labels == roi for roi in dict.fromkeys(labels.tolist())}


def name_place(array: xr.DataArray | xr.Dataset, where: Mapping[str, int]) -> str:
    """Name a place along dims by its labels, as in ``roi V1, time 0.15``."""
    named = []
    for dim, number in where.items():
        label = array[dim].values[number] if dim in array.coords else number
        named.append(
            f"{dim} {label:.4g}" if isinstance(label, float | np.floating) else f"{dim} {label}"
        )
    return ", ".join(named)


def name_metric(result: xr.Dataset) -> str:
    """Name of the score for axes and sentences."""
    return name_measure(result.attrs.get("metric", "score"))


def name_measure(measure: object) -> str:
    """Name of a score or statistic in words; as it was written where there are none."""
    return MEASURES.get(str(measure), str(measure))


def find_least_p(result: xr.Dataset | xr.DataArray) -> float | None:
    """Least p that the permutations of a result can give; None where it names no number of them.

    Where all sign flips of ``n_units`` are listed, the observed one and its mirror are among them.
    """
    n, units = (result.attrs.get(name) for name in ("n_permutations", "n_units"))
    if not isinstance(n, int | float | np.number) or not np.isfinite(n) or n < 1:
        return None
    if isinstance(units, int | np.integer) and 0 < units < 60 and n == 2 ** int(units):
        return 2 / float(n)
    return 1 / (1 + float(n))


def name_method(method: object) -> str:
    """A method in words: a measure that stands in brackets behind it by its name."""
    return re.sub(r"\((\w+)\)", lambda found: f"({name_measure(found[1])})", str(method))


class Floor(NamedTuple):
    """Why no q passes: the least q of so many tests with so many permutations."""

    least_q: float
    n_permutations: int
    n_tests: int
    needed: int

    def __str__(self) -> str:
        return (
            f"q cannot fall below {self.least_q:.2g} with {self.n_permutations:,} permutations "
            f"and {self.n_tests:,} tests"
        )


def find_floor(result: xr.Dataset | xr.DataArray) -> Floor | None:
    """Find out whether no q can pass because permutations are too few for so many tests.

    That is where the smallest p is the least that they can give, and yet no q is below 0.05.
    ``needed`` lets as many tests as reach it now pass, with room to spare.
    """
    least, n = find_least_p(result), result.attrs.get("n_permutations", 0)
    if least is None or least > 1 / (1 + float(n)) or not isinstance(result, xr.Dataset):
        return None
    if not {"p_value", "q_value"} <= set(result.data_vars):
        return None
    p, q = (np.asarray(result[name].values, dtype=np.float64) for name in ("p_value", "q_value"))
    p, q = p[np.isfinite(p)], q[np.isfinite(q)]
    if not p.size or not q.size or q.min() < ALPHA or not np.isclose(p.min(), least, rtol=1e-3):
        return None
    reached = int(np.isclose(p, least, rtol=1e-3).sum())
    return Floor(float(q.min()), int(n), p.size, _advise(SPARE * p.size / (ALPHA * reached)))


def _advise(n: float) -> int:
    """The next of 1, 2 and 5 times a power of ten."""
    power = int(10 ** np.floor(np.log10(n)))
    return next(step for step in (*(one * power for one in ADVISED), 10 * power) if step >= n)


def warn_of_coarse_p(result: xr.Dataset) -> str:
    """Say what p or q cannot go below, where that decides what passes."""
    least, floor = find_least_p(result), find_floor(result)
    said = [f"least p they can give: {least:.2g}"] if least is not None and least > COARSE_P else []
    said += [f"{floor}: take {floor.needed:,}"] if floor is not None else []
    return f" ({'; '.join(said)})" if said else ""


def describe_model(model: str) -> str:
    """Name a model as its steps, ``First(), then Second()``; as it was written if it has none."""
    try:
        tree = ast.parse(model.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return model
    steps = _list_steps(tree)
    return ", then ".join(map(ast.unparse, steps)) if steps else model


def _list_steps(node: ast.expr) -> list[ast.expr]:
    """The steps of a pipeline of scikit-learn, those of pipelines in it among them."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return []
    if node.func.id != "Pipeline":
        return []
    given = {word.arg: word.value for word in node.keywords}.get("steps")
    if not isinstance(given, ast.List):
        return []
    found: list[ast.expr] = []
    for pair in given.elts:
        if not isinstance(pair, ast.Tuple) or len(pair.elts) != 2:
            return []
        found += _list_steps(pair.elts[1]) or [pair.elts[1]]
    return found


def summarise(values: np.ndarray) -> tuple[float, float, float, int]:
    """Median, 5th and 95th percentile of the finite values, and how many there are."""
    finite = np.asarray(values, dtype=float)[np.isfinite(values)]
    if not len(finite):
        return np.nan, np.nan, np.nan, 0
    low, middle, high = np.quantile(finite, [0.05, 0.5, 0.95])
    return float(middle), float(low), float(high), len(finite)
