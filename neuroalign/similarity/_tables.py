"""All pairs of two sets of representations: scores, their correction for noise, their nulls."""

from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuroalign._threads import map_threads
from neuroalign.errors import SchemaError
from neuroalign.similarity._measures import Measure
from neuroalign.similarity._representations import Named, Representation
from neuroalign.stats.multiple import fdr
from neuroalign.stats.permutations import count_reached, permutation_p

Array = npt.NDArray[Any]


class Table(NamedTuple):
    """Scores (row, column), and both sides prepared; one list twice when compared with itself."""

    score: Array
    left: list[Any]
    right: list[Any]


def prepare_one(measure: Measure, params: dict[str, Any], values: Array, is_rdm: bool) -> Any:
    """Prepare features, or an RDM where the measure takes one.

    Raises
    ------
    SchemaError
    """
    if not is_rdm:
        return measure.prepare(values, **params)
    if measure.prepare_rdm is None:
        raise SchemaError(
            "a, b: expected features or responses, got an RDM. Use method 'rsa', or pass what the "
            "RDM was computed from."
        )
    known = signature(measure.prepare_rdm).parameters
    return measure.prepare_rdm(values, **{k: v for k, v in params.items() if k in known})


def multiply(measure: Measure, left: list[Any], right: list[Any]) -> Array:
    """Score all pairs: (row, column)."""
    if measure.multiply is not None:
        return measure.multiply(left, right)
    scores = np.empty((len(left), len(right)))
    mirrored = left is right and measure.symmetric
    for i, one in enumerate(left):
        for j in range(i if mirrored else 0, len(right)):
            scores[i, j] = measure.pair(one, right[j])
            if mirrored:
                scores[j, i] = scores[i, j]
    return scores


def fill_table(
    measure: Measure, params: dict[str, Any], rows: Named, columns: Named | None
) -> Table:
    """Prepare each representation once and score all pairs."""
    every = [*rows.values(), *(columns or {}).values()]
    done = map_threads(lambda one: prepare_one(measure, params, one.values, one.is_rdm), every)
    left = done[: len(rows)]
    right = left if columns is None else done[len(rows) :]
    return Table(multiply(measure, left, right), left, right)


def correct_table(
    measure: Measure,
    params: dict[str, Any],
    rows: Named,
    columns: Named | None,
    n_splits: int,
    seed: int,
) -> dict[str, Array]:
    """Correct scores for noise: between halves, over the root of what halves share.

    With halves x1, x2 and y1, y2 of independent noise, sim(x_i, y_j) and the root of
    sim(x1, x2) sim(y1, y2) hold the same norms, which are all that the noise changes. Sides
    measured together are compared across halves only, since noise of one moment may be shared.

    Raises
    ------
    SchemaError
        When neither side has halves.
    """
    sides = [list(rows.values()), list((columns or {}).values())]
    if not any(one.halve for side in sides for one in side):
        raise SchemaError(
            "correct: expected repeats of stimuli on a side, or tuples of two halves, got neither. "
            "Keep single presentations, or leave out correct."
        )
    together = columns is None
    drawn = any(one.is_random for side in sides for one in side)
    n_splits = n_splits if drawn else 1
    draws = np.random.default_rng(seed).integers(2**31, size=n_splits)
    raw: Any = 0.0
    reliability: list[Any] = [0.0, 0.0]
    couples = [(0, 1), (1, 0)] if together else [(0, 0), (0, 1), (1, 0), (1, 1)]
    whole = [[_whole(measure, params, one) for one in side] for side in sides]
    for draw in draws:
        halves = [
            [
                _halves(measure, params, one, kept, int(draw))
                for one, kept in zip(side, done, strict=True)
            ]
            for side, done in zip(sides, whole, strict=True)
        ]
        if together:
            halves[1] = halves[0]
        for i, j in couples:
            left, right = [pair[i] for pair in halves[0]], [pair[j] for pair in halves[1]]
            raw = raw + multiply(measure, left, right) / (len(couples) * n_splits)
        for k, side in enumerate(halves):
            shared = [1.0 if one is other else measure.pair(one, other) for one, other in side]
            reliability[k] = reliability[k] + np.array(shared) / n_splits
    product = np.asarray(reliability[0])[:, None] * np.asarray(reliability[1])
    usable = (np.asarray(reliability[0]) > 0)[:, None] & (np.asarray(reliability[1]) > 0)
    score = np.where(usable, raw / np.sqrt(np.where(usable, product, 1.0)), np.nan)
    found = {"score": score, "score_raw": np.asarray(raw), "row_reliability": reliability[0]}
    return found if together else found | {"column_reliability": reliability[1]}


def _whole(measure: Measure, params: dict[str, Any], one: Representation) -> Any:
    """Prepare once for all splits what has no halves, or only those given."""
    if one.is_random:
        return None
    if one.halve is not None:
        return tuple(prepare_one(measure, params, half, False) for half in one.halve(0))
    return (prepare_one(measure, params, one.values, one.is_rdm),) * 2


def _halves(
    measure: Measure, params: dict[str, Any], one: Representation, kept: Any, seed: int
) -> tuple[Any, Any]:
    if one.halve is None or not one.is_random:
        return kept[0], kept[1]
    first, second = one.halve(seed)
    return prepare_one(measure, params, first, False), prepare_one(measure, params, second, False)


def judge_table(
    measure: Measure,
    params: dict[str, Any],
    table: Table,
    columns: Named,
    n_permutations: int,
    seed: int,
) -> dict[str, Array]:
    """Test scores against those of stimuli in random order, the same order for all columns."""
    rng = np.random.default_rng(seed)
    sources = list(columns.values())
    null = np.empty((n_permutations, *table.score.shape))
    for row in null:
        order = rng.permutation(len(sources[0].values))
        moved = [
            _reorder(measure, params, one, done, order)
            for one, done in zip(sources, table.right, strict=True)
        ]
        row[:] = multiply(measure, table.left, moved)
    sign = -1.0 if measure.distance else 1.0
    count, top = count_reached(sign * null, sign * table.score)
    p_value = permutation_p(count, table.score, n_permutations)
    return {
        "p_value": p_value,
        "p_fwer": permutation_p(top, table.score, n_permutations),
        "q_value": fdr(p_value),
        "null_mean": null.mean(axis=0),
        "null_sd": null.std(axis=0),
    }


def _reorder(
    measure: Measure, params: dict[str, Any], one: Representation, done: Any, order: Array
) -> Any:
    if measure.permute is not None:
        return measure.permute(done, order)
    values = one.values[np.ix_(order, order)] if one.is_rdm else one.values[order]
    return prepare_one(measure, params, values, one.is_rdm)
