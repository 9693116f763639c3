"""Rates of false positives and of coverage of `neuroalign.rsa.infer`, and unbiased distances.

Each over 2,000 seeded studies of 12 subjects and 16 conditions, all studies of a block in one call.
Rates of false positives at .05 (upper binomial bound .065); those over stimuli are conservative,
the more so between models, as both are fixed here and only the rest of the signal is drawn anew.
The pools of ceilings stay whole when subjects are drawn: copies would leave smaller pools, and a
ceiling that varies so much more between resamples than between studies that no test rejects.

=========  =======  ========  =======
bootstrap  against  between   against
           zero     models    ceiling
=========  =======  ========  =======
none       .048     .047      .040
subjects   .047     .047      .042
stimuli    .016     .0015     -
both       .0145    .0005     -
=========  =======  ========  =======
"""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom, chisquare

from neuroalign.rsa import _comparison_kernels as kernels
from neuroalign.rsa._crossvalidated import crossnobis
from neuroalign.rsa._stacks import fold
from neuroalign.rsa.inference import infer

N_STUDIES, BLOCK, N, SUBJECTS = 2000, 100, 16, 12
PAIRS = N * (N - 1) // 2
LABELS = np.array([f"c{i:02d}" for i in range(N)])
UPPER = int(binom.ppf(0.999, N_STUDIES, 0.05)) / N_STUDIES
DESIGNS = ["none", "subjects", "stimuli", "both"]


def distances(rng: np.random.Generator, k: int) -> np.ndarray:
    """Squared distances of random patterns, with mean 0 and unit variance: (k, pair)."""
    first, second = np.triu_indices(N, 1)
    points = rng.normal(size=(k, N, 6))
    rows = np.square(points[:, first] - points[:, second]).sum(axis=2)
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / rows.std(axis=1, keepdims=True))


def wrap(values: np.ndarray, *lead: str) -> xr.DataArray:
    coords = {
        dim: np.array([f"{dim}{i}" for i in range(size)])
        for dim, size in zip(lead, values.shape, strict=False)
    }
    # Distances are positive; what is compared here does not change with a shift.
    return fold(values + 20, LABELS, lead, coords)


def study(seed: int, bootstrap: str, related: bool) -> tuple[xr.DataArray, xr.DataArray]:
    """Two models that are equally related to the data, or not at all."""
    rng = np.random.default_rng([seed, 5])
    noise = 2 * rng.normal(size=(SUBJECTS, BLOCK, PAIRS))
    models = distances(rng, 2)
    over_stimuli = bootstrap in ("stimuli", "both")
    # Over subjects, stimuli are fixed: an unrelated model has no product with the signal at all.
    truth = distances(rng, BLOCK) if over_stimuli else np.zeros((BLOCK, PAIRS))
    if related:
        truth = truth + models.sum(axis=0)
    return wrap(models, "model"), wrap(truth + noise, "subject", "study")


def run(bootstrap: str, related: bool, key: str) -> np.ndarray:
    found = []
    for seed in range(N_STUDIES // BLOCK):
        models, data = study(seed, bootstrap, related)
        result = infer(
            models, data, method="pearson", bootstrap=bootstrap, n_bootstrap=100, seed=seed
        )
        found.append(result[key].values[0, 1] if key == "pairwise_p" else result[key].values[0])
    return np.concatenate(found)


@pytest.mark.slow
@pytest.mark.parametrize("bootstrap", DESIGNS)
def test_false_positives_against_zero(bootstrap: str) -> None:
    rate = float((run(bootstrap, False, "p_value") < 0.05).mean())
    assert rate <= UPPER, rate


@pytest.mark.slow
@pytest.mark.parametrize("bootstrap", DESIGNS)
def test_false_positives_between_equal_models(bootstrap: str) -> None:
    rate = float((run(bootstrap, True, "pairwise_p") < 0.05).mean())
    assert rate <= UPPER, rate


def ceiling_study(seed: int) -> tuple[xr.DataArray, xr.DataArray]:
    """A model as far from the signal, on average, as the mean of the other subjects is."""
    rng = np.random.default_rng([seed, 6])
    signal, away = distances(rng, 2)
    away = away - away @ signal / PAIRS * signal
    away /= away.std()
    sigma = 1.0
    model = signal + sigma / np.sqrt(SUBJECTS - 1) * away
    data = signal + sigma * rng.normal(size=(SUBJECTS, BLOCK, PAIRS))
    return wrap(model[None], "model"), wrap(data, "subject", "study")


@pytest.mark.slow
@pytest.mark.parametrize("bootstrap", ["none", "subjects"])
def test_false_positives_against_the_ceiling(bootstrap: str) -> None:
    found = []
    for seed in range(N_STUDIES // BLOCK):
        result = infer(
            *ceiling_study(seed), method="pearson", bootstrap=bootstrap, n_bootstrap=100, seed=seed
        )
        found.append(result["p_ceiling"].values[0])
    rate = float((np.concatenate(found) < 0.05).mean())
    assert 0.03 <= rate <= UPPER, rate


@pytest.mark.slow
@pytest.mark.parametrize("bootstrap", ["none", "subjects"])
def test_intervals_cover_the_score_of_all_subjects(bootstrap: str) -> None:
    covered = []
    for seed in range(N_STUDIES // BLOCK):
        models, data = study(seed, bootstrap, True)
        rng = np.random.default_rng([seed, 8])
        many = models.values.sum(axis=0) - 40 + 2 * rng.normal(size=(5000, PAIRS))
        many -= many.mean(axis=1, keepdims=True)
        model = models.values[0] - models.values[0].mean()
        sizes = np.linalg.norm(many, axis=1) * np.linalg.norm(model)
        truth = float((many @ model / sizes).mean())
        result = infer(
            models, data, method="pearson", bootstrap=bootstrap, n_bootstrap=200, seed=seed
        )
        lower, upper = (result[f"interval_{end}"].values[0] for end in ("lower", "upper"))
        covered.append((lower <= truth) & (truth <= upper))
    rate = float(np.concatenate(covered).mean())
    assert 0.93 <= rate <= 0.97, rate


@pytest.mark.slow
def test_permutations_of_labels_are_uniform() -> None:
    n, found = 19, []
    for seed in range(N_STUDIES // BLOCK):
        models, data = study(seed, "both", False)
        result = infer(
            models[:1], data, method="pearson", bootstrap="none", n_permutations=n, seed=seed
        )
        found.append(result["p_permutation"].values[0])
    counts = np.bincount(np.rint(np.concatenate(found) * (n + 1)).astype(int), minlength=n + 2)
    assert chisquare(counts[1:]).pvalue > 0.001, counts


def test_crossnobis_of_identical_conditions_is_zero_on_average() -> None:
    rng = np.random.default_rng(3)
    same = rng.normal(size=(N_STUDIES, 1, 1, 20)) + rng.normal(size=(N_STUDIES, 4, 4, 20))
    values = crossnobis(same, np.ones((4, 4), dtype=bool))[:, *np.triu_indices(4, 1)]
    error = values.mean(axis=1).std(ddof=1) / np.sqrt(N_STUDIES)
    assert abs(values.mean()) < 3.3 * error
    assert (values < 0).mean() > 0.3


def test_the_whitened_cosine_of_crossnobis_is_zero_without_signal() -> None:
    """Many channels and few conditions, where plain squared distances give 0.98."""
    rng = np.random.default_rng(4)
    table = rng.normal(size=(400, 8, 4, 200))
    rows = crossnobis(table, np.ones((8, 4), dtype=bool))[:, *np.triu_indices(8, 1)]
    weights = kernels.weigh(rows.shape[1])
    Z = kernels.normalise_whitened_cosine(rows, weights)
    similarity = (Z[:200] * Z[200:]).sum(axis=1)
    assert abs(similarity.mean()) < 3.3 * similarity.std() / np.sqrt(200)
