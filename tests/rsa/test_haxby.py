"""The object categories of Haxby et al. (2001), one subject: from volumes to a tested geometry."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign.loaders import from_arrays
from neuroalign.rsa.categories import categorical_rdm
from neuroalign.rsa.comparisons import compare_rdms
from neuroalign.rsa.distances import compute_rdm
from neuroalign.rsa.noise import estimate_noise
from neuroalign.rsa.rdms import to_condensed
from neuroalign.rsa.reliability import estimate_reliability, split_rdms

SMALL = ("bottle", "scissors", "shoe", "chair")


@pytest.fixture
def haxby(real_data: Path) -> xr.DataArray:
    """Volumes of the blocks, each run without its mean and slope."""
    nib = pytest.importorskip("nibabel")
    folder = real_data / "haxby2001_pymvpa"
    bold = nib.load(folder / "bold.nii.gz").get_fdata()
    volumes = bold[nib.load(folder / "mask.nii.gz").get_fdata().squeeze() > 0].reshape(-1, 1452).T
    names, run = np.loadtxt(folder / "attributes_literal.txt", dtype=str, unpack=True)
    slope = np.stack([np.ones(121), np.linspace(-1, 1, 121)], axis=1)
    for one in np.unique(run):
        rows = run == one
        volumes[rows] -= slope @ np.linalg.lstsq(slope, volumes[rows], rcond=None)[0]
    shown = names != "rest"
    return from_arrays(
        volumes[shown], stimulus=names[shown], run=run[shown], modality="fmri", dtype="float64"
    )


@pytest.fixture
def residual_noise(haxby: xr.DataArray) -> xr.DataArray:
    """Covariance of what the mean of each block leaves."""
    return estimate_noise(haxby, fold="run", method="shrinkage")


def test_residuals_have_their_degrees_of_freedom(haxby, residual_noise) -> None:  # type: ignore[no-untyped-def]
    assert haxby.sizes == {"sample": 12 * 8 * 9, "neuroid": 530}
    assert residual_noise.attrs["dof"] == 12 * 8 * (9 - 1)
    assert 0 < residual_noise.attrs["shrinkage"] < 0.5


def test_every_pair_of_categories_differs_across_runs(haxby, residual_noise) -> None:  # type: ignore[no-untyped-def]
    rdm = compute_rdm(haxby, distance="crossnobis", fold="run", noise=residual_noise)
    pairs = to_condensed(rdm)
    assert (pairs > 0).all()
    of_faces = rdm.sel(first="face", second=list(SMALL)).mean()
    of_houses = rdm.sel(first="house", second=list(SMALL)).mean()
    among_small = to_condensed(rdm, SMALL).mean()
    assert float(among_small) < 0.5 * float(of_faces) < float(of_houses)
    largest = pairs.isel(pair=int(pairs.values.argmax()))
    assert {largest["first"].item(), largest["second"].item()} == {"face", "house"}


def test_small_objects_are_one_cluster(haxby, residual_noise) -> None:  # type: ignore[no-untyped-def]
    rdm = compute_rdm(haxby, distance="crossnobis", fold="run", noise=residual_noise)
    names = rdm["first"].values.tolist()
    kinds = {one: "small object" if one in SMALL else one for one in names}
    assert float(compare_rdms(rdm, categorical_rdm(kinds), method="spearman")) > 0.4


def test_odd_and_even_runs_agree(haxby) -> None:  # type: ignore[no-untyped-def]
    """About .52 by rank is known of unwhitened patterns, for the choices of their preparation."""
    first, second = split_rdms(haxby, distance="correlation")
    assert float(compare_rdms(first, second, method="spearman")) == pytest.approx(0.52, abs=0.1)


def test_whitening_by_residuals_makes_distances_more_reliable(haxby, residual_noise) -> None:  # type: ignore[no-untyped-def]
    options = {"distance": "crossnobis", "fold": "run", "method": "spearman", "n_splits": 10}
    plain = estimate_reliability(haxby, n_bootstrap=0, **options)
    whitened = estimate_reliability(haxby, n_bootstrap=100, noise=residual_noise, **options)
    assert float(whitened["half"]) > float(plain["half"]) + 0.05
    assert float(whitened["reliability"]) > 0.8
    assert 0 < float(whitened["lower"]) < float(whitened["reliability"])
