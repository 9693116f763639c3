"""Scores and ceilings of models on one resample, with or without cross-validation."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from neuroalign.rsa._fitting import N_INNER, Solver
from neuroalign.rsa._views import View, make_space

Array = npt.NDArray[Any]
# Test folds with fewer different conditions hold too few pairs to compare.
MIN_UNIQUE = 3


class Fitted(Protocol):
    """What the engine needs of a model."""

    solver: Solver
    penalties: tuple[float, ...]
    flexible: bool


class Evaluation(NamedTuple):
    """Scores (model, subject), and the ceilings (subject,): without and with the subject."""

    scores: Array
    lower: Array
    upper: Array


class Plan:
    """Models and data of the same conditions, ready for any resample."""

    def __init__(
        self, models: Sequence[Fitted], bases: list[Array], data: Array, method: str
    ) -> None:
        self.models, self.n_subjects = models, len(data)
        edges = np.cumsum([0, *map(len, bases)])
        self.spans = [slice(a, b) for a, b in pairwise(edges)]
        self.fitted = any(model.flexible for model in models)
        rows = np.concatenate(bases) if bases else np.zeros((0, data.shape[1]))
        self.n_basis, self.size = len(rows), rows.size + data.size
        self.space = make_space(rows, data, method, fitted=self.fitted)
        self._last: tuple[bytes, View] | None = None
        self._whole: View | None = None
        fixed = [np.eye(1, self.n_basis, span.start) for span in self.spans]
        self.fixed = np.concatenate(fixed) if fixed else np.zeros((0, 0))

    def view(self, counts: Array) -> View:
        """Look at one resample; the last one and the whole sample are kept."""
        if not (counts == 1).all():
            # Arms of a bootstrap share conditions, one after the other.
            key = counts.tobytes()
            if self._last is None or self._last[0] != key:
                self._last = key, self.space.view(counts)
            return self._last[1]
        if self._whole is None:
            self._whole = self.space.view(counts)
        return self._whole


def _weigh(plan: Plan, model: int, view: View, subjects: Array, penalty: float) -> Array:
    span, chosen = plan.spans[model], plan.models[model]

    def single() -> Array:
        """Mean similarity of each basis RDM alone."""
        scores: Array = view.score(np.eye(plan.n_basis)[span]) @ subjects
        return np.asarray(scores / subjects.sum())

    target = view.target[span] @ subjects / subjects.sum()
    return chosen.solver(view.gram[span, span], target, single, penalty)


def _choose_penalty(plan: Plan, model: int, counts: Array, subjects: Array) -> float:
    """Compare penalties by folds of the conditions, every fourth one held out."""
    penalties = plan.models[model].penalties
    present = np.flatnonzero(counts)
    if len(penalties) == 1 or len(present) < N_INNER * MIN_UNIQUE:
        return penalties[0]
    scores = np.zeros(len(penalties))
    for start in range(N_INNER):
        test = np.zeros_like(counts)
        test[present[start::N_INNER]] = counts[present[start::N_INNER]]
        train, held = plan.view(counts - test), plan.view(test)
        for index, penalty in enumerate(penalties):
            weights = np.zeros((1, plan.n_basis))
            weights[0, plan.spans[model]] = _weigh(plan, model, train, subjects, penalty)
            scores[index] += float(held.score(weights)[0] @ subjects)
    return penalties[int(np.argmax(scores))]


def fit_weights(plan: Plan, counts: Array, subjects: Array) -> Array:
    """Weights (model, basis) from conditions drawn ``counts`` and subjects ``subjects`` times."""
    if not plan.fitted:
        return plan.fixed
    weights = np.zeros((len(plan.models), plan.n_basis))
    view = plan.view(counts)
    for index, (model, span) in enumerate(zip(plan.models, plan.spans, strict=True)):
        if not model.flexible:
            weights[index, span] = 1.0
            continue
        penalty = _choose_penalty(plan, index, counts, subjects)
        weights[index, span] = _weigh(plan, index, view, subjects, penalty)
    return weights


def pool_others(view: View, n_subjects: int) -> Array:
    """Similarity of each subject with the pool of all others; NaN without any."""
    if n_subjects < 2:
        return np.full(n_subjects, np.nan)
    return view.pooled(1 - np.eye(n_subjects))


def evaluate_whole(plan: Plan, counts: Array, subjects: Array) -> Evaluation:
    """Score without cross-validation.

    Pools of ceilings hold every subject once, whatever was drawn: copies would leave smaller
    pools, and so ceilings that vary more than between studies. To first order a pool that is
    drawn anew adds nothing to the variance, as the best average is where it is most similar.
    """
    n, view = plan.n_subjects, plan.view(counts)
    scores = view.score(fit_weights(plan, counts, subjects))
    return Evaluation(scores, pool_others(view, n), view.pooled(np.ones((1, n))))


def deal(drawn: Array, n_folds: int | None, rng: np.random.Generator) -> list[Array]:
    """Deal what was drawn into folds (masks); one fold of everything when n_folds is None."""
    if n_folds is None:
        return [np.ones(len(drawn), dtype=bool)]
    present = rng.permutation(np.flatnonzero(drawn))
    masks = []
    for start in range(min(n_folds, len(present))):
        mask = np.zeros(len(drawn), dtype=bool)
        mask[present[start::n_folds]] = True
        masks.append(mask)
    return masks


class Folds(NamedTuple):
    """Into how many folds conditions and subjects are dealt; None for no folds."""

    stimuli: int | None
    subjects: int | None

    @property
    def needed(self) -> bool:
        return self != (None, None)


def evaluate_folds(
    plan: Plan, counts: Array, subjects: Array, folds: Folds, rng: np.random.Generator
) -> Evaluation:
    """Fit on training conditions and subjects, score the others; average over folds."""
    n = plan.n_subjects
    totals = np.zeros((len(plan.models) + 2, n))
    seen = np.zeros(n)
    subject_folds = deal(subjects, folds.subjects, rng)
    for held_stimuli in deal(counts, folds.stimuli, rng):
        whole = folds.stimuli is None
        test_counts = counts if whole else counts * held_stimuli
        train_counts = counts if whole else counts * ~held_stimuli
        if np.count_nonzero(test_counts) < MIN_UNIQUE:
            continue
        view = plan.view(test_counts)
        for held in subject_folds:
            train = subjects if folds.subjects is None else subjects * ~held
            if not train.any():
                continue
            scores = view.score(fit_weights(plan, train_counts, train))
            # Of the whole pool (see `evaluate_whole`) those are left out that are held out.
            if folds.subjects is None:
                lower = pool_others(view, n)
            else:
                lower = view.pooled(1.0 - held[None])
            ceilings = np.stack([lower, view.pooled(np.ones((1, n)))])
            totals[:, held] += np.concatenate([scores, ceilings])[:, held]
            seen[held] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        means = totals / np.where((seen > 0) & (subjects > 0), seen, np.nan)
    return Evaluation(means[:-2], means[-2], means[-1])


def average(found: Evaluation, subjects: Array) -> Array:
    """Average over subjects as often as drawn: (model..., lower, upper)."""
    each = np.concatenate([found.scores, found.lower[None], found.upper[None]])
    known = ~np.isnan(found.upper) & (subjects > 0)
    if not known.any():
        return np.full(len(each), np.nan)
    means: Array = each[:, known] @ subjects[known] / subjects[known].sum()
    return means
