"""Fit, score and store with the core dependencies alone; run by CI where torch is absent."""

import importlib.util
import tempfile
from pathlib import Path

import numpy as np

import neuroalign as na

for library in ("torch", "matplotlib", "nibabel"):
    assert importlib.util.find_spec(library) is None, (
        f"{library} is installed: not a core-only check"
    )

planted = na.loaders.simulate_linear(
    n_samples=120, n_features=8, n_neuroids=5, snr=5.0, n_runs=4, seed=0
)
result = na.evaluate.cross_validate(
    na.encoders.Ridge(), planted["features"], planted["responses"], group="run", ceiling=None
)
assert float(result["score"].mean()) > 0.6, float(result["score"].mean())

with tempfile.TemporaryDirectory() as folder:
    path = na.storage.save(result, Path(folder) / "result.zarr")
    again = na.storage.load(path).compute()
np.testing.assert_array_equal(again["score"].values, result["score"].values)

message = ""
try:
    na.features.extract(None, {}, ["layer"])
except ImportError as error:
    message = str(error)
assert "pip install 'neuroalign[torch]'" in message, message

message = ""
try:
    na.loaders.load_fmri("bold.nii.gz")
except ImportError as error:
    message = str(error)
assert "pip install 'neuroalign[fmri]'" in message, message
