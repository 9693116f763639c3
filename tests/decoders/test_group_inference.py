"""Clusters of pairs of times over subjects: planted ones are found, and alike in MNE."""

from collections.abc import Mapping

import numpy as np
import pytest
import xarray as xr

mne = pytest.importorskip("mne")

from neuroalign import schema  # noqa: E402
from neuroalign.decoders import decode_across_time, infer_across_time  # noqa: E402
from neuroalign.errors import AlignError, SchemaError  # noqa: E402
from neuroalign.loaders import from_arrays  # noqa: E402


def decode_subjects(signal: float, n: int = 8) -> Mapping[str, xr.Dataset]:
    """Subjects whose classes differ in the second half of 6 times."""
    results = {}
    for subject in range(n):
        rng = np.random.default_rng(subject)
        values = rng.normal(size=(48, 5, 6))
        values[::2, :2, 3:] += signal
        data = from_arrays(
            values, stimulus=["a", "b"] * 24, modality="eeg", time=0.1 * np.arange(6),
            run=np.repeat(["r0", "r1", "r2"], 16),
        )  # fmt: skip
        results[f"sub-{subject}"] = decode_across_time(data, classifier="nearest_centroid")
    return results


def test_the_planted_square_is_one_cluster() -> None:
    result = infer_across_time(decode_subjects(1.2), n_permutations=200)
    p, cluster = result["p_value"].values[0], result["cluster"].values[0]
    assert (p[3:, 3:] < 0.05).all()
    assert len(np.unique(cluster[3:, 3:])) == 1
    assert (p[:3, :3] > 0.05).all()
    assert schema.check(result).sizes["fold"] == 8
    assert "pairs of times lie in clusters above chance over 8 subjects" in result.attrs["verdict"]


def test_noise_alone_passes_nowhere() -> None:
    result = infer_across_time(decode_subjects(0.0), n_permutations=100)
    assert float(result["p_value"].min()) > 0.05


def test_clusters_are_those_of_mne_on_a_lattice() -> None:
    results = decode_subjects(1.2)
    found = infer_across_time(results, threshold=2.0, n_permutations=100)
    values = np.stack([one["mean_score"].values[0] for one in results.values()]) - 0.5
    t, clusters, p, _ = mne.stats.permutation_cluster_1samp_test(
        values, threshold=2.0, tail=1, n_permutations=100, out_type="mask", seed=0,
        verbose="error",
    )  # fmt: skip
    np.testing.assert_allclose(found["statistic"][0], t)
    largest = clusters[int(np.argmax([mask.sum() for mask in clusters]))]
    number = found["cluster"].values[0][largest][0]
    np.testing.assert_array_equal(found["cluster"].values[0] == number, largest)
    assert found["p_value"].values[0][largest][0] == pytest.approx(p.min(), abs=0.02)


def test_the_report_draws_it() -> None:
    from neuroalign.report.rsa_screens import show_generalization

    result = infer_across_time(decode_subjects(1.2, 5), statistic="tfce", n_permutations=30)
    titles = {getattr(block, "title", "") for block in show_generalization(result)}
    assert "Generalisation in time" in titles


def test_faults_are_named() -> None:
    results = dict(decode_subjects(1.0, 3))
    with pytest.raises(ValueError, match="results: expected 2 subjects or more, got 1"):
        infer_across_time({"a": results["sub-0"]})
    short = {**results, "sub-1": results["sub-1"].isel(time=slice(4))}
    with pytest.raises(AlignError, match=r"results\['sub-1'\]: expected the time of the first"):
        infer_across_time(short)
    other = {**results, "sub-2": results["sub-2"].assign_attrs(metric="roc_auc")}
    with pytest.raises(SchemaError, match=r"results\['sub-2'\]: expected metric 'balanced_acc"):
        infer_across_time(other)
    bare = {**results, "sub-0": results["sub-0"].drop_vars("mean_score")}
    with pytest.raises(SchemaError, match=r"results\['sub-0'\]: expected one score for all"):
        infer_across_time(bare)
