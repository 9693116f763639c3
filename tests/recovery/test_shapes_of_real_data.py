"""The 92 images and Haxby's objects go through all that says what shape a representation has."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import geometry, topology
from neuroalign.loaders import load_fmri, load_rdms
from neuroalign.rsa import compute_rdm, to_square
from neuroalign.schema import check

pytest.importorskip("nibabel")
IMAGES = [f"image-{i:02d}" for i in range(92)]
ANIMATE = np.arange(92) < 48


def read_images(real_data: Path) -> xr.DataArray:
    """RDMs of human IT: 4 subjects, means of 2 sessions."""
    folder = real_data / "rsa_92images"
    both = load_rdms(folder / "92_brainRDMs.mat", labels=IMAGES)
    values = both.values.reshape(4, 2, *both.shape[1:]).mean(axis=1)
    coords = {key: c for key, c in both.coords.items() if "rdm" not in c.dims}
    return xr.DataArray(values, coords, ("subject", *both.dims[1:]), attrs=both.attrs)


def read_objects(real_data: Path) -> xr.DataArray:
    """Volumes of 8 categories in 12 runs of one slice, one subject."""
    folder = real_data / "haxby2001_pymvpa"
    runs = sorted((folder / "haxby2001/sub001/BOLD").glob("task001_run*"))
    data = load_fmri(
        [run / "bold_1slice.nii.gz" for run in runs],
        mask=folder / "mask.nii.gz",
        events=[run / "bold_events.tsv" for run in runs],
        detrend=True,
        standardize="zscore",
    ).compute()
    return data.isel(sample=np.flatnonzero(data["stimulus"].values != "rest"))


def test_rdms_of_images_go_through_topology(real_data: Path) -> None:
    rdms = read_images(real_data)
    stack = topology.transform_rdm(rdms, *topology.threshold_grid(0.25))
    assert stack.shape == (10, 4, *rdms.shape[1:])
    assert (stack.values >= 0).all()
    assert (stack.values <= 1).all()
    paths = topology.geodesic_rdm(rdms)
    assert np.isfinite(paths.values).all()
    diagrams = topology.compute_persistence(rdms, max_dim=2)
    table = check(topology.summarize_diagrams(diagrams))
    assert (table["n_bars"].sel(dimension=0) == 91).all()
    for k in range(3):
        one, other = diagrams.isel(subject=0), diagrams.isel(subject=1)
        assert topology.diagram_distance(one, other, dimension=k) > 0
        for draw in (topology.betti_curve, topology.persistence_landscape):
            assert np.isfinite(draw(one, dimension=k).values).all()
        assert topology.persistence_image(one, dimension=k).values.max() > 0


def test_subjects_diverge_less_from_each_other_than_from_shuffled_images(real_data: Path) -> None:
    rdms = read_images(real_data)
    mean = to_square(rdms[1:].mean("subject", keep_attrs=True))
    order = np.random.default_rng(0).permutation(92)
    shuffled = mean.copy(data=mean.values[np.ix_(order, order)])
    near, far = (topology.compute_divergence(rdms[0], one) for one in (mean, shuffled))
    assert float(near["divergence"]) < float(far["divergence"])
    found = topology.adaptive_similarity(rdms[0], mean, n_permutations=99)
    assert float(found["p_value"]) == 0.01


def test_landmarks_and_angles_of_images_can_be_had(real_data: Path) -> None:
    mean = read_images(real_data).mean("subject", keep_attrs=True)
    rows, radius = topology.pick_landmarks(mean, 20)
    assert len(rows) == 20
    assert radius > 0
    angles = check(topology.find_circular_coordinates(mean))
    assert angles["stimulus"].values.tolist() == IMAGES
    assert np.isfinite(angles["angle"].values).all()


def test_animacy_is_the_main_gradient_of_images(real_data: Path) -> None:
    rdms = read_images(real_data)
    group = geometry.find_gradients(rdms.mean("subject", keep_attrs=True), sparsity=0.5)
    r = [np.corrcoef(group["gradient"][:, 0], ANIMATE)[0, 1]]
    for one in rdms:
        own = geometry.find_gradients(one, sparsity=0.5, reference=group)
        r.append(np.corrcoef(own["aligned"][:, 0], ANIMATE)[0, 1])
    assert abs(r[0]) > 0.6
    assert np.abs(r[1:]).min() > 0.4


def test_objects_go_through_topology(real_data: Path) -> None:
    data = read_objects(real_data)
    blocks = data.groupby("stimulus").mean("sample")
    assert np.isfinite(topology.compute_persistence(blocks)["birth"].values).all()
    test = topology.assess_topology(
        data[::4], null="shift", n_nulls=9, n_components=6, n_neighbors=5, keep=0.5, landmarks=40
    )
    assert 0.1 <= float(test["p_value"].sel(dimension=1)) <= 1
    rdms = compute_rdm(data, over="run", distance="correlation")
    table = topology.summarize_diagrams(topology.compute_persistence(rdms))
    assert (table["n_bars"].sel(dimension=0) == 7).all()
    assert topology.keep_dense(data, keep=0.1).sizes["sample"] == round(0.1 * len(data))


def describe(data: xr.DataArray) -> dict[str, Any]:
    """What each description of geometry says of categories over runs."""
    alive = ["cat", "face"]
    some = data.isel(sample=np.isin(data["stimulus"].values, ["cat", "face", "house", "shoe"]))
    repeated = geometry.cross_validate_spectrum(data, fold="run", ranks=(1, 6))
    pairs = [("cat", "house"), ("face", "shoe")]
    parallel = geometry.parallelism_score(some, alive, fold="run", pairs=pairs)
    across = geometry.generalize_across_conditions(
        some, alive, across=["cat", "shoe"], fold="run", n_null=9
    )
    table = geometry.describe_dichotomies(some, fold="run", n_null=9, n_folds=4)
    return {
        "repeats": repeated["reliability"],
        "signal": parallel["signal"],
        "across": across["ccgp"],
        "decoding": table["decoding"].min(),
    }


def test_objects_go_through_geometry(real_data: Path) -> None:
    data = read_objects(real_data).astype("float64")
    found = {key: float(value) for key, value in describe(data).items()}
    assert found["repeats"] > 0.3
    assert found["signal"] > 0
    assert found["across"] > 0.5
    assert found["decoding"] > 0.6
    names = data["stimulus"].values
    assert 1 < geometry.effective_rank(data) < 530
    assert geometry.target_alignment(data, names, debias=True) > 0.05
    dimension = geometry.estimate_dimension(data, n_bootstrap=20)
    assert 5 < float(dimension["dimension"]) < 60
    shares = geometry.explain_variance(data, {"category": names}, group="run", n_bootstrap=20)
    assert float(shares["total"][0]) > 0
    steps = geometry.compare_steps(data[:60], over="sample", center=True)
    assert int(geometry.segment_steps(steps, n_surrogates=9).attrs["chosen"]) > 1


def test_quarters_of_a_slice_are_told_apart_in_runs_held_out(real_data: Path) -> None:
    data = read_objects(real_data)
    left = np.where(data["i"].values < np.median(data["i"].values), "left", "right")
    front = np.where(data["j"].values > np.median(data["j"].values), "front", "back")
    quarter = [f"{a} {b}" for a, b in zip(left, front, strict=True)]
    rdms = compute_rdm(
        data.assign_coords(roi=("neuroid", quarter)), over=("run", "roi"), distance="correlation"
    )
    result = topology.select_source(rdms, over="run", step=0.2, n_bootstrap=20)
    assert result.sizes["run"] == 12
    assert float(result["chance"]) == 0.25
    # 48 answers: 0.25 +- 0.06.
    assert float(result["mean"].sel(representation="z_score")) > 0.4
