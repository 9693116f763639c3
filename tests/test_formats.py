"""Formats on their own; what users see of them is held in test_storage.py."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign._formats import pack, read_netcdf, read_zarr, unpack, write_netcdf, write_zarr

FORMATS = {"nc": (write_netcdf, read_netcdf), "zarr": (write_zarr, read_zarr)}


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_lone_array_is_packed_and_comes_back_itself(name: str, tmp_path: Path) -> None:
    write, read = FORMATS[name]
    array = xr.DataArray(np.arange(3.0), dims="sample", name="x", attrs={"window": [0.5]})
    write(pack(array), tmp_path / f"a.{name}")
    xr.testing.assert_identical(unpack(read(tmp_path / f"a.{name}", True)).compute(), array)
