"""Which part of a model is which part of the brain: modules by regions, matched one to one.

In: features of modules and responses of regions to the same stimuli. Out: how alike each pair is,
its ceiling, its null, and the best assignment of modules to regions.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.optimize import linear_sum_assignment

from neuroalign import provenance
from neuroalign.convergence.layers import encode_layers
from neuroalign.errors import SchemaError, choose, some
from neuroalign.evaluate.normalization import NORMALIZERS
from neuroalign.schema import check_estimate, check_responses
from neuroalign.similarity import SIMILARITIES, compare
from neuroalign.similarity._representations import read_sets
from neuroalign.similarity._tables import fill_table, multiply
from neuroalign.stats.multiple import fdr
from neuroalign.stats.permutations import count_reached, permutation_p

Array = npt.NDArray[Any]
ENCODING = "encoding"
N_SPLITS = 5
# Below, a ceiling is no number to divide by.
MIN_CEILING = 0.1
# Up to so many assignments are all looked at; of more, as many are drawn.
MOST_ASSIGNMENTS = 50_000


def _list_regions(responses: xr.DataArray, over: str) -> list[str]:
    check_responses(responses)
    if over not in responses.coords or responses[over].dims != ("neuroid",):
        raise SchemaError(
            f"over: expected a coord on 'neuroid' that names regions, got '{over}' (there are "
            f"{some(responses.coords)}). Assign it, or use loaders.add_roi."
        )
    found = [one for one in dict.fromkeys(responses[over].values.astype(str).tolist()) if one]
    if len(found) < 2:
        raise SchemaError(
            f"over: expected two or more regions in '{over}', got {some(found) or 'none'}. Name "
            "them on the neuroids."
        )
    if "stimulus" not in responses.coords:
        raise SchemaError(
            f"responses: expected coord 'stimulus', got {some(responses.coords)}. Assign it."
        )
    return found


def _read_modules(modules: Any, stimuli: Array) -> dict[str, xr.DataArray]:
    """Features of the stimuli that responses have, in one order."""
    if not isinstance(modules, Mapping) or len(modules) < 2:
        raise SchemaError(
            "modules: expected a mapping of two or more names to features, got "
            f"{type(modules).__name__}. Pass {{'encoder': ..., 'value': ...}}."
        )
    found = {}
    for name, one in modules.items():
        if not isinstance(one, xr.DataArray) or "stimulus" not in one.coords:
            raise SchemaError(
                f"modules['{name}']: expected features named by 'stimulus', got "
                f"{type(one).__name__} without. Label them with loaders.features_from_arrays."
            )
        place = {label: row for row, label in enumerate(one["stimulus"].values.tolist())}
        same = one.values[[place[label] for label in one["stimulus"].values.tolist()]]
        if not np.array_equal(one.values, same):
            raise SchemaError(
                f"modules['{name}']: expected the same features in every row of a stimulus, got "
                "others. Average them, or name what differs as another stimulus."
            )
        missing = [label for label in stimuli.tolist() if label not in place]
        if missing:
            raise SchemaError(
                f"modules['{name}']: expected the stimuli of responses, missing {some(missing)}. "
                "Extract features of all."
            )
        found[str(name)] = one[[place[label] for label in stimuli.tolist()]]
    return found


class _Inputs(NamedTuple):
    """Modules of the stimuli ``names``, in that order; ``code`` is the stimulus of each sample."""

    modules: dict[str, xr.DataArray]
    responses: xr.DataArray
    places: dict[str, Array]
    names: Array
    code: Array


class _Similarity:
    """Scores of modules with regions by a measure of whole representations."""

    def __init__(self, inputs: _Inputs, method: str, seed: int) -> None:
        self.inputs, self.method, self.seed = inputs, method, seed
        self.measure = choose(SIMILARITIES, method, "method")
        self.sign = -1.0 if self.measure.distance else 1.0
        self.regions = {
            name: inputs.responses.isel(neuroid=place) for name, place in inputs.places.items()
        }
        rows, columns, _ = read_sets(inputs.modules, self.regions, None, "strict")
        self.sources = list((columns or {}).values())
        self.table = fill_table(self.measure, {}, rows, columns)

    def fill(self) -> Array:
        return self.table.score

    def shuffle(self, order: Array) -> Array:
        """Scores with the stimuli of all regions in another order."""
        permute = self.measure.permute
        moved = [
            self.measure.prepare(one.values[order]) if permute is None else permute(done, order)
            for one, done in zip(self.sources, self.table.right, strict=True)
        ]
        return multiply(self.measure, self.table.left, moved)

    def correct(self, n_splits: int) -> tuple[Array, Array] | None:
        if self.measure.correctable is None:
            return None
        found = compare(
            self.inputs.modules, self.regions, method=self.method, correct=True,
            n_splits=n_splits, seed=self.seed,
        )  # fmt: skip
        return found["roi_reliability"].values, found["score"].values


class _Encoding:
    """Mean held-out correlation of each module with each region's neuroids."""

    sign = 1.0

    def __init__(self, inputs: _Inputs, method: str, seed: int) -> None:
        self.inputs, self.seed = inputs, seed

    def fill(self) -> Array:
        return self._average(self._encode(np.arange(len(self.inputs.names)), None)["mean_score"])

    def shuffle(self, order: Array) -> Array:
        return self._average(self._encode(order, None)["mean_score"])

    def correct(self, n_splits: int) -> tuple[Array, Array]:
        found = self._encode(np.arange(len(self.inputs.names)), "split_half")
        ceiling = found["ceiling"]
        usable = NORMALIZERS[str(found.attrs["metric"])](ceiling.where(ceiling >= MIN_CEILING))
        return self._average(ceiling), self._average(found["mean_score"] / usable)

    def _encode(self, order: Array, ceiling: str | None) -> xr.Dataset:
        """Encode samples that are taken for those of other stimuli; repeats move together."""
        shown = order[self.inputs.code]
        named = self.inputs.responses.assign_coords(stimulus=("sample", self.inputs.names[shown]))
        features = {name: one[shown] for name, one in self.inputs.modules.items()}
        return encode_layers(
            features, named, group=None, n_splits=N_SPLITS, ceiling=ceiling, seed=self.seed
        )

    def _average(self, scores: xr.DataArray) -> Array:
        """Mean over the neuroids of each region (..., roi), and over time."""
        parts = [scores.isel(neuroid=place) for place in self.inputs.places.values()]
        means = [one.mean([dim for dim in one.dims if dim != "layer"]).values for one in parts]
        return np.stack(means, axis=-1)


def match_modules(
    modules: Mapping[str, xr.DataArray],
    responses: xr.DataArray,
    *,
    method: str = "cka_debiased",
    over: str = "roi",
    expected: Mapping[str, str] | None = None,
    n_permutations: int = 200,
    n_splits: int = 20,
    seed: int = 0,
) -> xr.Dataset:
    """Match modules of a model to regions of the brain.

    Parameters
    ----------
    modules : mapping of str to DataArray (sample, feature)
        Features of each module, named by ``stimulus``: encoder, predictor, value head.
    responses : DataArray (sample, neuroid)
        Of the same stimuli; repeats bring the ceiling.
    method : str
        ``"encoding"``: held-out correlation of a ridge regression, as `encode_layers` has it; or a
        name in ``similarity.SIMILARITIES``, with its usual parameters.
    over : str
        Coord on ``neuroid`` that names regions; neuroids without one are left out.
    expected : mapping of str to str, optional
        Module to region, as a theory has it: how high its total lies among all assignments.
    n_permutations : int
        Orders of the stimuli of all regions, for p values; 0 leaves those out. Encoding is fitted
        anew in each.
    n_splits : int
        Halves of the repeats, for ``reliability`` by a similarity.
    seed : int

    Returns
    -------
    Dataset
        ``score`` (module, roi) with ``p_value``, ``q_value`` (false discovery rate), ``p_fwer``
        (largest of the table) and ``null_mean``; ``reliability`` (roi) and ``corrected``
        (module, roi), what the score would be without noise of the responses; NaN where it cannot
        be known (no repeats, or a method that noise bends). ``assigned`` (module), the region of
        the one-to-one assignment with the largest sum of scores ('' where regions are fewer), and
        ``total``, its mean score, with ``total_p``. With ``expected``: ``expected_total``,
        ``expected_p``, the share of all assignments of these modules whose total is as high, and
        ``n_agree``, how many modules were assigned as expected.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Notes
    -----
    ``total_p`` asks whether modules and regions share anything at all; ``expected_p`` asks whether
    who is matched with whom matters. With three modules it cannot fall below 1 / 6. Stimuli are
    taken to be exchangeable: states along a path, which resemble their neighbours, are not, and
    make p too small; choose states apart from each other.

    References
    ----------
    Fang & Stachenfeld (2024), ICLR (modules of a predictive agent and visual cortex, hippocampus
    and striatum).

    Examples
    --------
    >>> from neuroalign.loaders import features_from_arrays, from_arrays
    >>> rng = np.random.default_rng(0)
    >>> names = [f"s{row}" for row in range(60)]
    >>> parts = {name: rng.normal(size=(60, 8)) for name in ("encoder", "value")}
    >>> values = np.hstack([parts["value"], parts["encoder"]])
    >>> data = from_arrays(values, stimulus=names, roi=["striatum"] * 8 + ["V1"] * 8,
    ...                    modality="spikes")
    >>> modules = {name: features_from_arrays(one, stimulus=names) for name, one in parts.items()}
    >>> match_modules(modules, data)["assigned"].values.tolist()
    ['V1', 'striatum']
    """
    regions = _list_regions(responses, over)
    names, code = np.unique(responses["stimulus"].values, return_inverse=True)
    given = _read_modules(modules, names)
    labels = responses[over].values.astype(str)
    places = {one: np.flatnonzero(labels == one) for one in regions}
    inputs = _Inputs(given, responses, places, names, code)
    table = (_Encoding if method == ENCODING else _Similarity)(inputs, method, seed)
    sign, score = table.sign, table.fill()
    rng = np.random.default_rng(seed)
    null = np.empty((n_permutations, *score.shape))
    for draw in null:
        draw[:] = table.shuffle(rng.permutation(len(names)))
    order, total = _assign(sign * score)
    reliability = np.full(len(regions), np.nan)
    corrected = np.full(score.shape, np.nan)
    known = table.correct(n_splits) if len(names) < len(code) else None
    if known is not None:
        reliability, corrected = known
    found = xr.Dataset(
        {
            "score": (("module", "roi"), score),
            "corrected": (("module", "roi"), corrected),
            "reliability": ("roi", reliability),
            "assigned": ("module", np.array([regions[one] if one >= 0 else "" for one in order])),
            "total": ((), sign * total),
        },
        {"module": list(given), "roi": regions},
        {
            "kind": "estimate",
            "method": "match_modules",
            "metric": method,
            "headline": "score",
            "over": over,
            "n_stimuli": len(names),
            "n_permutations": n_permutations,
            "n_splits": n_splits,
            "seed": seed,
            "history": str(responses.attrs.get("history", "")),
            "provenance": provenance.collect(
                {"method": method, "over": over, "n_permutations": n_permutations, "seed": seed},
                {"responses": provenance.hash_array(responses)}
                | {f"modules {name}": provenance.hash_array(one) for name, one in given.items()},
            ),
        },
    )
    if n_permutations:
        found = found.assign(_test_null(sign * score, sign * null, total))
        found["null_mean"] = (("module", "roi"), null.mean(axis=0))
    if expected is not None:
        found = _test_expected(found, expected, sign, seed)
    found.attrs["verdict"] = _judge(found)
    return check_estimate(found)


def _assign(gain: Array) -> tuple[Array, float]:
    """Column of each row (-1 for none), and the mean gain of the best assignment."""
    rows, columns = linear_sum_assignment(np.nan_to_num(gain, nan=-1e9), maximize=True)
    order = np.full(len(gain), -1)
    order[rows] = columns
    return order, float(gain[rows, columns].mean())


def _test_null(gain: Array, null: Array, total: float) -> dict[str, Any]:
    """Test scores, and the total of the best assignment, against shuffled stimuli."""
    n = len(null)
    count, top = count_reached(null, gain)
    p_value = permutation_p(count, gain, n)
    totals = np.array([_assign(draw)[1] for draw in null])
    dims = ("module", "roi")
    return {
        "p_value": (dims, p_value),
        "q_value": (dims, fdr(p_value)),
        "p_fwer": (dims, permutation_p(top, gain, n)),
        "total_p": ((), permutation_p((totals >= total).sum(), np.asarray(total), n)),
    }


def _test_expected(
    found: xr.Dataset, expected: Mapping[str, str], sign: float, seed: int
) -> xr.Dataset:
    modules, regions = found["module"].values.tolist(), found["roi"].values.tolist()
    strange = [one for one in expected if one not in modules]
    strange += [one for one in expected.values() if one not in regions]
    if strange or len(set(expected.values())) < len(expected) or len(expected) < 2:
        raise ValueError(
            f"expected: expected two or more of the modules {some(modules)}, each with one of the "
            f"regions {some(regions)} of its own, got {dict(expected)}."
        )
    rows = np.array([modules.index(one) for one in expected])
    gain = sign * found["score"].values[rows]
    own = np.array([regions.index(one) for one in expected.values()])
    total = gain[np.arange(len(rows)), own].mean()
    n = math.perm(len(regions), len(rows))
    if n <= MOST_ASSIGNMENTS:
        every = np.array(list(itertools.permutations(range(len(regions)), len(rows))))
    else:
        rng = np.random.default_rng(seed)
        drawn = [rng.permutation(len(regions))[: len(rows)] for _ in range(MOST_ASSIGNMENTS - 1)]
        every = np.array([own, *drawn])
    totals = gain[np.arange(len(rows)), every].mean(axis=1)
    # The expected assignment is one of them.
    share = float((totals >= total - 1e-12).mean())
    agree = sum(
        found["assigned"].sel(module=one).item() == region for one, region in expected.items()
    )
    return found.assign(
        expected_total=((), sign * total), expected_p=((), share), n_agree=((), agree)
    )


def _judge(found: xr.Dataset) -> str:
    pairs = [
        f"{module} - {region}"
        for module, region in zip(
            found["module"].values.tolist(), found["assigned"].values.tolist(), strict=True
        )
        if region
    ]
    said = f"best one-to-one assignment: {', '.join(pairs)} (mean {found.attrs['metric']} "
    said += f"{float(found['total']):.3f}"
    if found.attrs["n_permutations"]:
        said += f", p = {float(found['total_p']):.3g}"
    said += ")"
    if "expected_p" in found:
        said += f"; {int(found['n_agree'])} as expected, which {float(found['expected_p']):.3g} "
        said += "of all assignments reach"
    return said + "."
