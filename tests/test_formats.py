"""Formats on their own; what users see of them is held in test_storage.py."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign._formats import (
    is_running,
    pack,
    read_netcdf,
    read_zarr,
    unpack,
    write_netcdf,
    write_zarr,
)

FORMATS = {"nc": (write_netcdf, read_netcdf), "zarr": (write_zarr, read_zarr)}


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_lone_array_is_packed_and_comes_back_itself(name: str, tmp_path: Path) -> None:
    write, read = FORMATS[name]
    array = xr.DataArray(np.arange(3.0), dims="sample", name="x", attrs={"window": [0.5]})
    write(pack(array), tmp_path / f"a.{name}")
    xr.testing.assert_identical(unpack(read(tmp_path / f"a.{name}", True)).compute(), array)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc tells of processes here")
def test_a_process_that_only_waits_to_be_buried_does_not_run() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "print()"], stdout=subprocess.PIPE)
    ended.stdout.read()  # type: ignore[union-attr]
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    os.kill(ended.pid, 0)  # its number is still taken
    assert not is_running(ended.pid)
    assert is_running(os.getpid())
    ended.communicate()
    assert not is_running(ended.pid)
