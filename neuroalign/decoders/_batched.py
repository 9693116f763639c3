"""Many small classifiers at once: a stack of neighbourhoods, or of times, in single products.

In: training rows (batch, row, column), labels, and rows to decide about. Out: scores of classes.
To make another classifier fast: a function like ``_fit_lda`` and its row in ``BATCHED``; it must
equal the scikit-learn estimator of the same name in ``CLASSIFIERS`` after scaling.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.decoders._classifiers import (
    Prepared,
    Sizes,
    fit_prepared,
    make_classifier,
    read_scores,
)

Array = npt.NDArray[Any]
Linear = tuple[Array, Array]


def _measure(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation over rows (batch, 1, p); the deviation 1 where constant."""
    mean = values.mean(axis=1, keepdims=True)
    centred = values - mean
    variance = np.einsum("bnp,bnp->bp", centred, centred)[:, None] / values.shape[1]
    # As scikit-learn tells a column that is constant but for rounding.
    n, eps = values.shape[1], np.finfo(np.float64).eps
    still = variance <= n * eps * variance + (n * mean * eps) ** 2
    return mean, np.where(still, 1.0, np.sqrt(variance))


def _shrink_covariance(rows: Array) -> tuple[Array, Array]:
    """Mean (batch, p) and Ledoit-Wolf covariance (batch, p, p) of standardised columns."""
    n, p = rows.shape[1:]
    mean, scale = _measure(rows)
    z = (rows - mean) / scale
    covariance = np.matmul(z.swapaxes(1, 2), z) / n
    if p > 1:
        squares = np.einsum("bnp,bnp->bn", z, z)
        mu = squares.sum(axis=1) / (n * p)
        norm = np.einsum("bij,bij->b", covariance, covariance)
        spread = ((squares**2).sum(axis=1) / n - norm) / (n * p)
        distance = (norm - p * mu**2) / p
        spread = np.minimum(spread, distance)
        share = np.divide(spread, distance, out=np.zeros_like(spread), where=spread != 0)
        covariance *= (1 - share)[:, None, None]
        covariance[:, np.arange(p), np.arange(p)] += (share * mu)[:, None]
    covariance *= scale.swapaxes(1, 2)
    covariance *= scale
    return mean[:, 0], covariance


def _fit_lda(train: Array, codes: Array, n_classes: int, _prepared: bool) -> Linear:
    """Linear discriminants of equal priors, the covariance of each class shrunk by itself.

    Scaling columns changes nothing.
    """
    batch, _, p = train.shape
    means, covariance = np.empty((batch, n_classes, p)), np.zeros((batch, p, p))
    for number in range(n_classes):
        means[:, number], own = _shrink_covariance(train[:, codes == number])
        covariance += own / n_classes
    try:
        coef = np.linalg.solve(covariance, means.swapaxes(1, 2)).swapaxes(1, 2)
    except np.linalg.LinAlgError:
        coef = np.matmul(means, np.linalg.pinv(covariance, hermitian=True))
    intercept = -0.5 * np.einsum("bkp,bkp->bk", means, coef)
    return coef, intercept


def _fit_centroids(train: Array, codes: Array, n_classes: int, prepared: bool) -> Linear:
    """Class means of scaled columns: the nearest has the largest of these scores."""
    mean, scale = (np.zeros((1, 1, 1)), 1.0) if prepared else _measure(train)
    chosen = np.zeros((n_classes, len(codes)))
    chosen[codes, np.arange(len(codes))] = 1 / np.bincount(codes, minlength=n_classes)[codes]
    centers = (np.matmul(chosen, train) - mean) / scale
    coef = centers / scale
    intercept = -0.5 * np.einsum("bkp,bkp->bk", centers, centers)
    return coef, intercept - (coef * mean).sum(axis=2)


# Of (rows, labels, number of classes, whether columns are scaled already).
BATCHED: dict[str, Callable[[Array, Array, int, bool], Linear]] = {
    "lda": _fit_lda,
    "nearest_centroid": _fit_centroids,
}


def decide(
    classifier: Any, train: Array, codes: Array, tests: Array, sizes: Sizes, *, scored: bool = False
) -> Array:
    """Fit each of a stack of classifiers, and score the classes of test rows.

    Parameters
    ----------
    classifier : str, or scikit-learn classifier
    train : array (batch, n, p)
        float64.
    codes : array of int (n,)
        All classes occur.
    tests : array (batch, m, p), or (m, p) for all
    sizes : Sizes
    scored : bool
        Scores are wanted, not only which of them is the largest.

    Returns
    -------
    array (batch, m, class)

    Raises
    ------
    ValueError
        When scores are wanted and the classifier has none.
    """
    if isinstance(classifier, str) and classifier in BATCHED:
        coef, intercept = BATCHED[classifier](train, codes, sizes.n_classes, False)
        return np.asarray(np.matmul(tests, coef.swapaxes(1, 2)) + intercept[:, None])
    shared = tests.ndim == 2
    out = np.empty((len(train), tests.shape[-2], sizes.n_classes))
    for number, rows in enumerate(train):
        model = make_classifier(classifier, sizes).fit(rows, codes)
        asked = tests if shared else tests[number]
        if scored or isinstance(classifier, str):
            scores = read_scores(model, asked, sizes.n_classes)
            if scores is None:
                raise ValueError(
                    "classifier: expected one with decision_function or predict_proba for "
                    f"metric 'roc_auc', got {type(model).__name__}. Use 'balanced_accuracy'."
                )
            out[number] = scores
        else:
            # Votes of one class against another need not agree with scores.
            guess = np.asarray(model.predict(asked))
            out[number] = np.arange(sizes.n_classes) == guess[:, None]
    return out


def guess_prepared(fold: Prepared, codes: Array, classifier: Any, sizes: Sizes) -> Array:
    """Guess the classes (m,) of the test rows of one fold, without an estimator where it can."""
    if isinstance(classifier, str) and classifier in BATCHED:
        fit = BATCHED[classifier]
        coef, intercept = fit(fold.X_train[None], codes[fold.train], sizes.n_classes, True)
        return np.asarray((fold.X_test @ coef[0].T + intercept[0]).argmax(axis=1))
    model = fit_prepared(fold, codes, classifier, sizes)
    return np.asarray(model.predict(fold.X_test))
