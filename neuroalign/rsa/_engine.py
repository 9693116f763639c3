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


def evaluate_whole(plan: Plan, counts: Array, subjects: Array) -> Evaluation:
    """Score without cross-validation; subjects that were not drawn get NaN."""
    view = plan.view(counts)
    scores = view.score(fit_weights(plan, counts, subjects))
    others = np.broadcast_to(subjects, (len(subjects),) * 2) * (1 - np.eye(len(subjects)))
    # Of subjects that were not drawn nobody asks.
    others = others * (subjects > 0)[:, None]
    lower = (
        view.pooled(others) if np.count_nonzero(subjects) > 1 else np.full(len(subjects), np.nan)
    )
    drawn = np.where(subjects > 0, 1.0, np.nan)
    return Evaluation(scores * drawn, lower * drawn, view.pooled(subjects[None]) * drawn)


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
            pools = np.broadcast_to(train, (n, n))
            if folds.subjects is None:
                pools = pools * (1 - np.eye(n))
            lower = view.pooled(pools) if pools.any() else np.full(n, np.nan)
            ceilings = np.stack([lower, view.pooled(subjects[None])])
            totals[:, held] += np.concatenate([scores, ceilings])[:, held]
            seen[held] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        means = totals / np.where((seen > 0) & (subjects > 0), seen, np.nan)
    return Evaluation(means[:-2], means[-2], means[-1])


def average(found: Evaluation, subjects: Array) -> Array:
    """Average over subjects as often as drawn: (model..., lower, upper).

    Ceilings average over different subjects, as the pools they are compared with already hold
    the copies.
    """
    known = ~np.isnan(found.upper)
    weights = subjects[known] / subjects[known].sum() if known.any() else subjects[known]
    scores = found.scores[:, known] @ weights if known.any() else np.full(len(found.scores), np.nan)
    ceilings = [part[known].mean() if known.any() else np.nan for part in found[1:]]
    return np.concatenate([scores, ceilings])
