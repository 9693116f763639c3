"""The dynamic connectome: planted motifs come back, holes pull nothing, real blocks are stable."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import squareform
from sklearn.base import clone
from sklearn.metrics import normalized_mutual_info_score as nmi
from tensorly.cp_tensor import CPTensor
from tensorly.decomposition import non_negative_parafac_hals

from neuroalign import schema, storage
from neuroalign.errors import AlignError, FitError, NeuroalignWarning, SchemaError
from neuroalign.latents import BlockModel, DynamicConnectome, compute_affinity
from neuroalign.latents._masked_factors import draw_start, factorize, rebuild
from neuroalign.loaders import simulate_communities
from neuroalign.report import plot_motifs
from neuroalign.report.verdicts import state_verdict

SPANS: dict[str, Any] = {"window": 0.75, "span": 2.25}


def draw_tensor(rank: int, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    model = rebuild([rng.gamma(0.5, size=(size, rank)) for size in (30, 5, 21)])
    return np.asarray(np.maximum(model + noise * rng.normal(size=model.shape), 0.0))


def test_without_holes_it_is_the_factorisation_of_tensorly() -> None:
    tensor = draw_tensor(3, 0.2)
    start = draw_start(tensor.shape, 3, np.random.default_rng(1))
    ours = factorize(tensor, None, start, 25, 0.0)
    init = CPTensor((np.ones(3), [one.copy() for one in start]))
    peer = non_negative_parafac_hals(tensor, 3, n_iter_max=25, init=init, tol=None)
    model = rebuild((ours.modes[0] * ours.weights, *ours.modes[1:]))
    np.testing.assert_allclose(model, rebuild(peer.factors), rtol=1e-7, atol=1e-9)
    error = np.linalg.norm(tensor - model) / np.linalg.norm(tensor)
    assert ours.error == pytest.approx(error, abs=1e-7)


def test_a_mask_that_hides_nothing_changes_nothing() -> None:
    tensor = draw_tensor(3, 0.2)
    start = draw_start(tensor.shape, 3, np.random.default_rng(1))
    free, masked = (
        factorize(tensor, seen, start, 20, 0.0) for seen in (None, np.ones(tensor.shape, bool))
    )
    np.testing.assert_array_equal(free.modes[2], masked.modes[2])


def test_what_is_hidden_is_predicted_and_never_read() -> None:
    tensor = draw_tensor(3)
    seen = np.random.default_rng(2).uniform(size=tensor.shape) > 0.3
    start = draw_start(tensor.shape, 3, np.random.default_rng(1))
    found = factorize(tensor, seen, start, 800, 0.0)
    spoilt = factorize(np.where(seen, tensor, 1e6), seen, start, 800, 0.0)
    model = rebuild((found.modes[0] * found.weights, *found.modes[1:]))
    assert np.linalg.norm((model - tensor)[~seen]) < 0.02 * np.linalg.norm(tensor[~seen])
    np.testing.assert_array_equal(found.modes[0], spoilt.modes[0])


@pytest.mark.parametrize("hidden", [False, True])
def test_no_iteration_makes_it_worse(hidden: bool) -> None:
    tensor = draw_tensor(3, 0.5)
    seen = np.random.default_rng(2).uniform(size=tensor.shape) > 0.3 if hidden else None
    start = draw_start(tensor.shape, 2, np.random.default_rng(1))
    assert np.all(np.diff(factorize(tensor, seen, start, 40, 0.0).history) < 1e-9)


def test_what_is_not_finite_is_no_fit() -> None:
    tensor = draw_tensor(2)
    tensor[0, 0, 0] = np.inf
    start = draw_start(tensor.shape, 2, np.random.default_rng(1))
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(FitError, match="expected affinities that factors can approach"),
    ):
        factorize(tensor, None, start, 5, 0.0)


def test_the_fit_is_ready_for_the_report() -> None:
    data = simulate_communities(3, 80, 16, n_motifs=1, community_size=4).responses
    model = DynamicConnectome(2, n_inits=2, **SPANS).fit(data)
    schema.check(model.params_)
    assert model.params_ is model.factors_
    assert model.communities_.identical(model.params_["communities"])
    assert state_verdict(model.params_).startswith("DynamicConnectome: 2 motifs over 80 times")
    drawn = plot_motifs(model.params_).axes
    assert any(axes.get_ylabel() == "community" for axes in drawn)


def compare(model: DynamicConnectome, truth: xr.Dataset) -> tuple[np.ndarray, ...]:
    """Correlations of time and of affinity, and NMI of communities, of matched components."""
    n = truth.sizes["component"]
    time = np.corrcoef(truth["time_course"].values.T, model.factors_["time_course"].values.T)
    rows, columns = linear_sum_assignment(time[:n, n:], maximize=True)
    known = truth["community"].values
    together = (known[:, :, None] == known[:, None, :]) & (known[:, :, None] > 0)
    upper = np.triu_indices(known.shape[1], 1)
    graphs = np.nan_to_num(model.factors_["affinity"].values)[columns][:, upper[0], upper[1]]
    pairs = np.corrcoef(together[:, upper[0], upper[1]][rows], graphs)
    scores = [
        nmi(known[i], model.communities_.values[j]) for i, j in zip(rows, columns, strict=True)
    ]
    return time[rows, n + columns], np.diag(pairs[:n, n:]), np.array(scores)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_motifs_come_back(seed: int) -> None:
    planted = simulate_communities(seed=seed)
    model = DynamicConnectome(4, **SPANS).fit(planted.responses)
    time, pairs, scores = compare(model, planted.truth)
    assert time.min() > 0.9
    assert pairs.min() > 0.9
    assert scores.min() > 0.6
    assert scores.mean() > 0.75
    assert model.stability_.min() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_motifs_come_back_though_neuroids_are_missing(seed: int) -> None:
    planted = simulate_communities(missing=0.15, seed=seed)
    model = DynamicConnectome(4, **SPANS).fit(planted.responses)
    time, pairs, scores = compare(model, planted.truth)
    assert time.min() > 0.85
    assert pairs.min() > 0.85
    assert scores.min() > 0.6


@pytest.fixture(scope="module")
def small() -> tuple[Any, DynamicConnectome]:
    planted = simulate_communities(6, 120, 16, n_motifs=1, community_size=4, seed=1)
    blocks = BlockModel(n_inits=1, n_kicks=1, max_blocks=4)
    model = DynamicConnectome(2, n_inits=2, block_model=blocks, **SPANS)
    return planted, model.fit(planted.responses[:4])


def test_new_subjects_show_the_motif_when_they_have_it(small: Any) -> None:
    planted, model = small
    found = schema.check(model.transform(planted.responses))
    truth = planted.truth
    share = truth["subject_share"].values[:, 0] > 0
    motif = np.argmax([np.corrcoef(truth["time_course"].values[:, 0], one)[0, 1]
                       for one in model.factors_["time_course"].values.T])  # fmt: skip
    course = truth["time_course"].values[:, 0]
    match = [np.corrcoef(one, course)[0, 1] for one in found.values[..., motif]]
    assert share[4:].any()
    assert min(one for one, has in zip(match[4:], share[4:], strict=True) if has) > 0.7
    assert all(abs(one) < 0.5 for one, has in zip(match, share, strict=True) if not has)


def test_courses_of_the_training_explain_what_the_fit_does(small: Any) -> None:
    planted, model = small
    held_out = model.score(planted.responses[4:])
    assert 0.1 < held_out < model.score(planted.responses[:4]) + 0.1
    noise = planted.responses[4:].copy(
        data=np.random.default_rng(0).normal(size=planted.responses[4:].shape).cumsum(axis=2)
    )
    assert model.score(noise) < held_out


def test_neuroids_that_new_subjects_lack_are_done_without(small: Any) -> None:
    planted, model = small
    full = model.transform(planted.responses)
    few = model.transform(planted.responses[:, :14])
    assert np.corrcoef(full.values.ravel(), few.values.ravel())[0, 1] > 0.9
    others = planted.responses.assign_coords(neuroid=[f"other-{i:02d}" for i in range(16)])
    with pytest.raises(AlignError, match="expected neuroids of the training"):
        model.transform(others)


def test_results_come_back_from_a_file_and_from_a_clone(small: Any, tmp_path: Path) -> None:
    planted, model = small
    storage.save(model.factors_, tmp_path / "factors.nc")
    assert storage.load(tmp_path / "factors.nc").identical(model.factors_)
    again = clone(model).fit(compute_affinity(planted.responses[:4], **SPANS))
    assert again.factors_.identical(model.factors_)
    norms = np.linalg.norm(model.factors_["time_course"].values, axis=0)
    np.testing.assert_allclose(norms, 1.0, rtol=1e-5)
    assert model.factors_["affinity"].dims == ("component", "neuroid", "neuroid_other")
    assert model.n_iter_ == len(model.history_["error"])


def test_pairs_never_seen_are_nan(small: Any) -> None:
    planted, model = small
    X = planted.responses[:4].copy()
    X[:2, 0] = np.nan
    X[2:, 1] = np.nan
    with pytest.warns(NeuroalignWarning, match="max_iter: expected to converge in 20"):
        found = clone(model).set_params(max_iter=20, tol=0.0).fit(X)
    assert np.isnan(found.factors_["affinity"].values[:, 0, 1]).all()
    assert np.isnan(found.factors_["affinity"].values).sum() == 2 * 2
    assert not found.converged_
    assert len(found.warnings_) == 1


def test_bad_input_is_named(small: Any) -> None:
    planted, _ = small
    tensor = compute_affinity(planted.responses, **SPANS)
    lost = tensor.copy()
    lost[:, 2] = np.nan
    with pytest.raises(SchemaError, match=r"each subject to be seen .* got 1 never seen .*'2'"):
        DynamicConnectome().fit(lost)
    with pytest.raises(SchemaError, match="expected affinities >= 0"):
        DynamicConnectome().fit(-tensor)
    with pytest.raises(ValueError, match="n_components: expected an integer >= 1"):
        DynamicConnectome(0).fit(tensor)
    with pytest.raises(ValueError, match="affinity: expected|method: expected one of"):
        DynamicConnectome(affinity="cosine").fit(planted.responses)


def read_rois(folder: Path) -> xr.DataArray:
    table = pd.read_csv(folder / "nitime_fmri" / "fmri_timeseries.csv").iloc[:, 3:]
    return xr.DataArray(
        table.to_numpy().T[None], dims=("sample", "neuroid", "time"),
        coords={"neuroid": list(table.columns), "time": 1.89 * np.arange(len(table))},
    )  # fmt: skip


def join_rois(series: xr.DataArray) -> xr.DataArray:
    tensor = compute_affinity({"sub-01": series}, window=3 * 1.89)
    names = series["neuroid"].values
    graph = squareform(tensor.mean(["time", "subject"]).values)
    return xr.DataArray(graph, dims=("neuroid", "neuroid_other"), coords={"neuroid": names})


def foretell(series: xr.DataArray) -> tuple[float, float]:
    """How well blocks of the first half tell affinities of the second; and how alike both are."""
    first, second = (join_rois(series[..., part]) for part in (slice(0, 125), slice(125, 250)))
    model = BlockModel(4, weights="lognormal", n_kicks=5).fit(first)
    told = model.blocks_["weight_mean"].values[np.ix_(model.labels_, model.labels_)]
    upper = np.triu_indices(len(first), 1)
    pairs = [one[upper] for one in (told, first.values, second.values)]
    r = np.corrcoef(pairs)
    return float(r[0, 2]), float(r[1, 2])


@pytest.mark.slow
def test_communities_of_a_resting_brain_are_stable_and_symmetric(real_data: Path) -> None:
    series = read_rois(real_data)
    blocks, pairs = foretell(series)
    rng = np.random.default_rng(0)
    shifted = []
    for _ in range(9):
        rows = [np.roll(row, rng.integers(20, 230)) for row in series.values[0]]
        shifted.append(foretell(series.copy(data=np.stack(rows)[None])))
    assert blocks > 0.1 + max(one for one, _ in shifted)
    assert pairs > 0.6
    assert max(one for _, one in shifted) < 0.3
    labels = BlockModel(weights="lognormal").fit(join_rois(series)).labels_
    left = [name for name in series["neuroid"].values if name.startswith("L")]
    same = [
        int(labels.sel(neuroid=name) == labels.sel(neuroid="R" + name[1:]))
        for name in left
        if "R" + name[1:] in series["neuroid"].values
    ]
    assert len(same) == 13
    assert sum(same) >= 8
