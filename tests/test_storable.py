"""What a file would change is refused before it is written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign._storable import check_storable
from neuroalign.errors import SchemaError


def array(**attrs: Any) -> xr.DataArray:
    return xr.DataArray(np.zeros(2), {"onset": ("sample", [0.0, 1.0])}, ("sample",), attrs=attrs)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (array(scale_factor=2.0), "got 'scale_factor'"),
        (array(flag=True), r"got bool in attrs\['flag'\]"),
        (array(when=None), "got NoneType"),
        (array(table={}), "got dict"),
        (array().rename(sample="a/b"), "expected names without '/'"),
        (array().assign_coords(t=("sample", np.array([0, 1], "M8[s]"))), "numbers of seconds"),
    ],
)
def test_each_loss_is_named(bad: xr.DataArray, message: str) -> None:
    with pytest.raises(SchemaError, match=f"responses: .*{message}"):
        check_storable(bad, "responses")


def test_attrs_of_coords_are_held_to_the_same() -> None:
    bad = array()
    bad["onset"].attrs["unit"] = None
    with pytest.raises(SchemaError, match=r"responses\.onset: expected attrs as str"):
        check_storable(bad, "responses")


def test_what_is_accepted_is_what_files_keep(tmp_path: Path) -> None:
    good = array(text="a", number=1.5, count=3, affine=[1.0, 0.0], size=(2,))
    check_storable(good, "x")
    good.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    again = xr.load_dataarray(tmp_path / "x.nc", engine="h5netcdf")
    xr.testing.assert_equal(again, good)
    for name, value in good.attrs.items():
        assert np.ravel(again.attrs[name]).tolist() == np.ravel(value).tolist(), name
