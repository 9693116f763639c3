"""Maps of the average cortex."""

from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema
from neuroalign.errors import MissingExtraError
from neuroalign.loaders import load_cortical_maps
from neuroalign.loaders.cortical_maps import surface


def test_installed_maps_cover_both_hemispheres_but_the_medial_wall() -> None:
    maps = load_cortical_maps()
    assert list(maps.data_vars) == ["thickness", "area", "curvature", "sulcal_depth"]
    for name in maps.data_vars:
        share = float(maps[name].isnull().mean())
        assert 0.04 < share < 0.12, f"{name}: {share:.3f} without a value"


def test_the_medial_wall_lies_at_the_midline() -> None:
    maps = load_cortical_maps(("thickness",))
    wall = maps["thickness"].isnull()
    assert float(np.abs(maps["x"][wall.values]).mean()) < 15


def test_values_are_those_of_the_files() -> None:
    from nilearn.datasets import fetch_surf_fsaverage

    maps = load_cortical_maps(("sulcal_depth",))["sulcal_depth"]
    right = surface.load_surf_data(fetch_surf_fsaverage("fsaverage5")["sulc_right"])
    ours = maps[maps["hemisphere"].values == "R"]
    known = ours.notnull().values
    np.testing.assert_allclose(ours.values[known], right[known], rtol=1e-6)


def test_maps_pass_the_schema_and_name_their_mesh() -> None:
    maps = load_cortical_maps(("area",))
    schema.check(maps)
    assert maps["area"].attrs["units"] == "mm2"
    assert isinstance(maps, xr.Dataset)
    assert maps.attrs["n_vertices"] == [10242, 10242]


def test_an_unknown_map_is_named() -> None:
    with pytest.raises(ValueError, match="names: expected one of 'thickness'"):
        load_cortical_maps(("thicknes",))


@pytest.mark.skipif(find_spec("neuromaps") is not None, reason="neuromaps is installed")
def test_maps_of_neuromaps_say_which_extra_brings_them() -> None:
    with pytest.raises(MissingExtraError, match=r"neuroalign\[maps\]"):
        load_cortical_maps(("expansion",))
