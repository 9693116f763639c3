"""Classifiers by name, all after scaling by training rows: scikit-learn's, and what they say.

To add one: its row in ``CLASSIFIERS``; where it has a closed form, also a row in
``_batched.BATCHED``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from neuroalign._linalg import eigh_ranked
from neuroalign.errors import choose

Array = npt.NDArray[Any]


class Classifier(NamedTuple):
    """How to make one, and whether a rotation of X changes nothing."""

    make: Callable[["Sizes"], Any]
    rotates: bool


class Sizes(NamedTuple):
    """What a classifier by name depends on: classes, columns, seed."""

    n_classes: int
    n_columns: int
    seed: int


# Scaled rows have a mean squared length of the number of columns: penalties count in that.
def _make_logistic(sizes: Sizes) -> Any:
    return LogisticRegression(C=1 / sizes.n_columns, class_weight="balanced", max_iter=5000)


def _make_lda(sizes: Sizes) -> Any:
    n_classes = sizes.n_classes
    equal = np.full(n_classes, 1 / n_classes)
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=equal)


def _make_svm(sizes: Sizes) -> Any:
    return LinearSVC(
        C=1 / sizes.n_columns, class_weight="balanced", max_iter=20000, random_state=sizes.seed
    )


def _make_centroid(_sizes: Sizes) -> Any:
    return NearestCentroid()


# Rare classes count as much as common ones in each.
CLASSIFIERS: dict[str, Classifier] = {
    "logistic": Classifier(_make_logistic, rotates=True),
    "lda": Classifier(_make_lda, rotates=False),
    "svm": Classifier(_make_svm, rotates=True),
    "nearest_centroid": Classifier(_make_centroid, rotates=True),
}


def make_classifier(classifier: Any, sizes: Sizes) -> Any:
    """Give a fresh estimator: by name after a scaler, or a copy of the caller's own.

    Raises
    ------
    ValueError
        When it is neither a name in ``CLASSIFIERS`` nor a scikit-learn classifier.
    """
    if isinstance(classifier, str):
        chosen = choose(CLASSIFIERS, classifier, "classifier")
        return make_pipeline(StandardScaler(), chosen.make(sizes))
    if not (isinstance(classifier, BaseEstimator) and hasattr(classifier, "predict")):
        options = ", ".join(f"'{name}'" for name in CLASSIFIERS)
        raise ValueError(
            f"classifier: expected one of {options} or a scikit-learn classifier, got "
            f"{type(classifier).__name__}. Pass an estimator with fit and predict."
        )
    return clone(classifier)


def name_classifier(classifier: Any) -> str:
    """Name a classifier for a record."""
    return classifier if isinstance(classifier, str) else " ".join(repr(classifier).split())


def read_scores(model: Any, X: Array, n_classes: int) -> Array | None:
    """Scores of all classes (n, class) without what is common to them; None without any."""
    scores = _score_centroids(model, X)
    for name in ("decision_function", "predict_proba"):
        if scores is None and hasattr(model, name):
            scores = np.asarray(getattr(model, name)(X), dtype=np.float64)
    if scores is None:
        return None
    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1) / 2
    if scores.shape[1] != n_classes:
        return None
    centred: Array = scores - scores.mean(axis=1, keepdims=True)
    return centred


def _score_centroids(model: Any, X: Array) -> Array | None:
    """Scores that agree with the guesses of a nearest centroid, as its own function's do not.

    Half the squared distance, less what all classes share; other metrics have no linear scores.
    """
    steps = list(model) if isinstance(model, Pipeline) else [model]
    if not isinstance(steps[-1], NearestCentroid) or steps[-1].metric != "euclidean":
        return None
    for step in steps[:-1]:
        X = step.transform(X)
    centers = steps[-1].centroids_
    return np.asarray(X @ centers.T - 0.5 * (centers**2).sum(axis=1))


def is_linear(model: Any) -> bool:
    """Tell whether class scores are linear in X, so that patterns have a meaning."""
    model = getattr(model, "best_estimator_", model)
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    linear = hasattr(steps[-1], "coef_") or isinstance(steps[-1], NearestCentroid)
    # Of the steps before, those that scale, choose or project keep it so.
    kept = all(
        isinstance(step, str | StandardScaler)
        or hasattr(step, "get_support")
        or hasattr(step, "components_")
        for step in steps[:-1]
        if step is not None
    )
    return linear and kept and hasattr(model, "decision_function")


class Prepared(NamedTuple):
    """Training and test rows of one fold, ready for any labels."""

    X_train: Array
    X_test: Array
    train: Array
    test: Array


def prepare_fold(X: Array, train: Array, test: Array, classifier: Any) -> Prepared:
    """Scale by training rows, and turn into as many columns as there are of those, once a fold.

    A classifier that knows only inner products gives the same answers after a rotation; labels
    can then be permuted at the price of few columns.
    """
    X_train, X_test = X[train], X[test]
    if not isinstance(classifier, str):
        return Prepared(X_train, X_test, train, test)
    scaler = StandardScaler()
    X_train, X_test = scaler.fit_transform(X_train), scaler.transform(X_test)
    if CLASSIFIERS[classifier].rotates and X_train.shape[1] > len(X_train):
        # Through products of rows: no basis of all columns is ever made.
        values, vectors = eigh_ranked(X_train @ X_train.T)
        length = np.sqrt(values)
        X_train, X_test = vectors * length, X_test @ X_train.T @ (vectors / length)
    return Prepared(X_train, X_test, train, test)


def fit_prepared(fold: Prepared, codes: Array, classifier: Any, sizes: Sizes) -> Any:
    """Fit to the labels of the training rows; a named one stands without its scaler."""
    model = make_classifier(classifier, sizes)
    if isinstance(classifier, str):
        model = model[-1]
    return model.fit(fold.X_train, codes[fold.train])
