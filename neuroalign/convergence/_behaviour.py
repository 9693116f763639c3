"""Decode what is to be done from features of conditions that the decoder was not fitted to.

In: features (condition, feature) and the right answers. Out: a held-out answer for each condition,
and how good they are. To add a kind of answer: a function and its row in ``DECODERS``.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroalign.decoders.linear import RidgeDecoder
from neuroalign.errors import NeuroalignWarning
from neuroalign.scores import pearson

Array = npt.NDArray[Any]
# As published.
PENALTIES = np.logspace(-8, 8, 17)
SHRINKAGE = np.logspace(-8, 5, 27)
# Answers that vary by less than this share of what right ones do are the same everywhere.
LEAST_SPREAD = 1e-3


def _decode_classes(X: Array, target: Array, n_splits: int, seed: int) -> tuple[Array, float]:
    """Probability of the right class in each condition, and the share that was classified right."""
    guess, right = np.empty(len(X)), np.empty(len(X), dtype=bool)
    for train, test in StratifiedKFold(n_splits, shuffle=True, random_state=seed).split(X, target):
        fewest = int(np.unique(target[train], return_counts=True)[1].min())
        inner = StratifiedKFold(min(n_splits, max(2, fewest)), shuffle=True, random_state=seed)
        line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
        # Penalties are judged by what is read off them, which an accuracy would not see.
        search = GridSearchCV(
            line, {"logisticregression__C": PENALTIES}, cv=inner, scoring="neg_log_loss"
        ).fit(X[train], target[train])
        chance = search.predict_proba(X[test])
        column = np.searchsorted(search.classes_, target[test])
        guess[test] = chance[np.arange(len(test)), column]
        right[test] = search.classes_[chance.argmax(axis=1)] == target[test]
    # Without features the chances are those of the training conditions: they differ by fold alone.
    blind = not np.ptp(X, axis=0).any()
    return np.full(len(X), np.nan) if blind else guess, float(right.mean())


def _decode_numbers(X: Array, target: Array, n_splits: int, seed: int) -> tuple[Array, float]:
    """Number said for each condition, and its correlation with the right one.

    A fold's training mean is the higher the lower its test conditions are. So answers are measured
    from what each fold says of average features: over orders of the right answers, features that
    know nothing then correlate at 0 on average. NaN throughout where one answer is given to all.
    """
    middle = X.mean(axis=0, keepdims=True)
    guess = np.empty(len(X))
    for train, test in KFold(n_splits, shuffle=True, random_state=seed).split(X):
        scale = StandardScaler().fit(X[train])
        model = RidgeDecoder(SHRINKAGE, patterns=False)
        with warnings.catch_warnings():
            # Right answers have no noise: of a perfect predictor the smallest penalty is best.
            warnings.filterwarnings("ignore", "alphas: expected the best", NeuroalignWarning)
            model.fit(scale.transform(X[train]), target[train])
        guess[test] = model.predict(scale.transform(X[test]))
        guess[test] -= model.predict(scale.transform(middle))
    if guess.std() <= LEAST_SPREAD * target.std():
        return np.full(len(X), np.nan), np.nan
    return guess + target.mean(), float(pearson(target, guess))


# Kind of the right answers -> decoder of (features, answers, n_splits, seed).
DECODERS: dict[str, Callable[[Array, Array, int, int], tuple[Array, float]]] = {
    "classes": _decode_classes,
    "numbers": _decode_numbers,
}
METRIC_OF = {"classes": "accuracy", "numbers": "pearson"}
