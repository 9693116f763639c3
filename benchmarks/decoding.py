"""Decoding against scikit-learn and MNE as a user would loop them.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.decoding --quick``.
"""

from typing import Any

import numpy as np
from mne.decoding import GeneralizingEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.harness import Race, main
from neuroalign.decoders import (
    RidgeDecoder,
    decode_across_time,
    decode_classes,
    decode_searchlight,
)
from neuroalign.loaders import from_arrays
from neuroalign.rsa import find_neighborhoods, neighbor_matrix

K = 4
ALPHAS = np.logspace(-2, 4, 7)
Inputs = dict[str, Any]


def simulate_volume(edge: int, n_runs: int) -> Inputs:
    """Noise on a cube of voxels: four classes, four times in each run."""
    rng = np.random.default_rng(0)
    codes = np.tile(np.arange(K), 4 * n_runs)
    grid = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), -1).reshape(-1, 3)
    data = from_arrays(
        rng.normal(size=(len(codes), edge**3)), stimulus=np.array(list("abcd"))[codes],
        run=np.repeat([f"run-{r:02d}" for r in range(n_runs)], 4 * K), modality="fmri",
        dtype="float64",
    )  # fmt: skip
    data = data.assign_coords({axis: ("neuroid", grid[:, d]) for d, axis in enumerate("ijk")})
    return {"data": data, "near": find_neighborhoods(data, 2, unit="voxel")}


def light_lda(inputs: Inputs) -> np.ndarray:
    """Shrinkage discriminants around every voxel."""
    return np.asarray(decode_searchlight(inputs["data"], inputs["near"])["score"])


def light_centroid(inputs: Inputs) -> np.ndarray:
    """Nearest centroids around every voxel."""
    found = decode_searchlight(inputs["data"], inputs["near"], classifier="nearest_centroid")
    return np.asarray(found["score"])


def _loop(inputs: Inputs, model: Any) -> np.ndarray:
    data, matrix, scores = inputs["data"], neighbor_matrix(inputs["near"]), []
    model = make_pipeline(StandardScaler(), model)
    shown, runs = data["stimulus"].values, data["run"].values
    for row in range(matrix.shape[0]):
        own = data.values[:, matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]]
        guess = cross_val_predict(model, own, shown, groups=runs, cv=LeaveOneGroupOut())
        scores.append(balanced_accuracy_score(shown, guess))
    return np.array(scores)


def loop_lda(inputs: Inputs) -> np.ndarray:
    """The same in a loop over voxels."""
    equal = np.full(K, 1 / K)
    return _loop(inputs, LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=equal))


def loop_centroid(inputs: Inputs) -> np.ndarray:
    """The same in a loop over voxels."""
    return _loop(inputs, NearestCentroid())


def simulate_epochs(n: int, n_channels: int, n_times: int) -> Inputs:
    """Trials of two classes in five runs."""
    rng = np.random.default_rng(0)
    codes = np.arange(n) % 2
    values = rng.normal(size=(n, n_channels, n_times))
    values[:, :5] += 0.3 * codes[:, None, None]
    data = from_arrays(
        values, stimulus=np.array(["a", "b"])[codes], modality="meg", dtype="float64",
        run=np.repeat([f"run-{r}" for r in range(5)], n // 5), time=np.arange(n_times) / 100,
    )  # fmt: skip
    return {"data": data, "codes": codes}


def times_ours(inputs: Inputs) -> np.ndarray:
    """Train time by test time, area under the curve."""
    return np.asarray(decode_across_time(inputs["data"], metric="roc_auc")["mean_score"][0])


def times_mne(inputs: Inputs) -> np.ndarray:
    """The same by MNE, fold by fold."""
    data, codes, total = inputs["data"], inputs["codes"], 0.0
    lda = LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=[0.5, 0.5])
    model = make_pipeline(StandardScaler(), lda)
    slider = GeneralizingEstimator(model, scoring="roc_auc", verbose="error")
    for train, test in LeaveOneGroupOut().split(codes, groups=data["run"].values):
        slider.fit(data.values[train], codes[train])
        total = total + slider.score(data.values[test], codes[test]) / 5
    return np.asarray(total)


def simulate_patterns(n_voxels: int, n_permutations: int) -> Inputs:
    """Many voxels, few trials."""
    rng = np.random.default_rng(0)
    codes = np.arange(96) % 2
    data = from_arrays(
        rng.normal(size=(96, n_voxels)), stimulus=np.array(["a", "b"])[codes], modality="fmri",
        run=np.repeat([f"run-{r}" for r in range(6)], 16), dtype="float64",
    )  # fmt: skip
    return {"data": data, "n_permutations": n_permutations, "codes": codes}


def null_ours(inputs: Inputs) -> np.ndarray:
    """Accuracy and its null by permutation: mean and spread."""
    result = decode_classes(
        inputs["data"], classifier="svm", n_permutations=inputs["n_permutations"], patterns=False
    )
    null = result["null"].values
    return np.array([float(result["balanced_accuracy"]), null.mean(), null.std()])


def null_sklearn(inputs: Inputs) -> np.ndarray:
    """The same relabellings through scikit-learn."""
    from sklearn.svm import LinearSVC  # noqa: PLC0415

    from neuroalign.decoders._labels import permute_codes, read_task  # noqa: PLC0415

    data = inputs["data"]
    task = read_task(data, "stimulus", "run", None, None, 0)
    svm = LinearSVC(
        C=1 / data.sizes["neuroid"], class_weight="balanced", max_iter=20000, random_state=0
    )
    model = make_pipeline(StandardScaler(), svm)

    def run(codes: np.ndarray) -> float:
        guess = cross_val_predict(
            model, data.values, codes, groups=data["run"].values, cv=LeaveOneGroupOut()
        )
        return float(balanced_accuracy_score(codes, guess))

    null = [run(permute_codes(task, 0, number)) for number in range(inputs["n_permutations"])]
    return np.array([run(task.codes), np.mean(null), np.std(null)])


def simulate_features(n: int, n_voxels: int, n_features: int) -> Inputs:
    """Features of images, and voxels that are linear in them."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, n_features))
    voxels = features @ rng.normal(size=(n_features, n_voxels)) / np.sqrt(n_features)
    return {"X": voxels + rng.normal(size=voxels.shape), "Y": features}


def ridge_ours(inputs: Inputs) -> np.ndarray:
    """All features decoded, one penalty each: held-out errors shared."""
    model = RidgeDecoder(ALPHAS, alpha_scale="absolute", alpha_per="global", patterns=False)
    return np.asarray(model.fit(inputs["X"], inputs["Y"]).predict(inputs["X"][:20]))


def ridge_sklearn(inputs: Inputs) -> np.ndarray:
    """A grid search over the same penalties and folds."""
    search = GridSearchCV(Ridge(), {"alpha": ALPHAS}, cv=5, scoring="neg_mean_squared_error")
    return np.asarray(search.fit(inputs["X"], inputs["Y"]).predict(inputs["X"][:20]))


def _race(
    name: str, setup: str, ours: str, peer: str, theirs: str,
    full: dict[str, int], quick: dict[str, int],
) -> Race:  # fmt: skip
    return Race(name, "benchmarks.decoding", setup, ours, peer, theirs, full=full, quick=quick)


LIGHT: tuple[dict[str, int], dict[str, int]] = (
    {"edge": 12, "n_runs": 8}, {"edge": 5, "n_runs": 4}
)  # fmt: skip
RACES = [
    _race(
        "searchlight lda", "simulate_volume", "light_lda", "scikit-learn in a loop", "loop_lda",
        *LIGHT,
    ),
    _race(
        "searchlight nearest centroid", "simulate_volume", "light_centroid",
        "scikit-learn in a loop", "loop_centroid", *LIGHT,
    ),
    _race(
        "time generalisation lda", "simulate_epochs", "times_ours", "mne", "times_mne",
        {"n": 200, "n_channels": 60, "n_times": 60}, {"n": 80, "n_channels": 20, "n_times": 15},
    ),
    _race(
        "permutation null svm", "simulate_patterns", "null_ours", "scikit-learn in a loop",
        "null_sklearn",
        {"n_voxels": 20000, "n_permutations": 20}, {"n_voxels": 2000, "n_permutations": 5},
    ),
    _race(
        "ridge decoding", "simulate_features", "ridge_ours", "scikit-learn grid search",
        "ridge_sklearn",
        {"n": 1000, "n_voxels": 3000, "n_features": 500},
        {"n": 300, "n_voxels": 400, "n_features": 100},
    ),
]  # fmt: skip

if __name__ == "__main__":
    main(RACES)
