"""Fits that never hold all responses equal fits that do."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

from neuroalign import scores, storage
from neuroalign.encoders import Ridge, fit_to_store, open_fit, plan_fit
from neuroalign.encoders._engine import CHUNK
from neuroalign.errors import AlignError, DataCorruptionError, SchemaError
from neuroalign.loaders import features_from_arrays, from_arrays

GRID = np.logspace(-2, 4, 8)
SMALL = 12_000_000


def study(t: int = 2500, n: int = 60, p: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)).astype("f4")
    Y = X @ rng.normal(size=(p, t)) + 3 * rng.normal(size=(n, t)) + 5
    return X, Y.astype("f4")


def budget(X: np.ndarray, Y: np.ndarray) -> int:
    """Bytes that hold one piece of targets, so that there are several chunks."""
    plan = plan_fit(Ridge(GRID), X, Y)
    per_target = 4 * (3 * len(X) + 2 * X.shape[1])
    return plan.bytes_held - plan.chunk * per_target + CHUNK * per_target


SOURCES = {
    "memory": lambda Y, folder: Y,
    "dask": lambda Y, folder: da.from_array(Y, (len(Y), 700)),
    "zarr": lambda Y, folder: zarr.array(Y, store=str(folder / "y.zarr"), chunks=(len(Y), 700)),
    "memmap": lambda Y, folder: np.lib.format.open_memmap(folder / "y.npy", "w+", "f4", Y.shape),
}


@pytest.mark.parametrize("kind", list(SOURCES))
def test_chunks_equal_one_fit(kind: str, tmp_path: Path) -> None:
    X, Y = study()
    source = SOURCES[kind](Y, tmp_path)
    if kind == "memmap":
        source[:] = Y
    stored = fit_to_store(Ridge(GRID), X, source, tmp_path / "fit", memory=budget(X, Y))
    whole = Ridge(GRID).fit(X, Y)
    assert stored["weights"].chunks[1] == (1000, 1000, 500)
    np.testing.assert_allclose(stored["weights"].values, whole.coef_.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stored["intercept"], whole.intercept_, rtol=1e-5)
    np.testing.assert_allclose(stored["alpha"], whole.alpha_, rtol=1e-6)
    np.testing.assert_allclose(stored["cv_r2"], whole.cv_r2_, rtol=1e-4, atol=1e-5)


def test_test_rows_are_scored_on_the_way(tmp_path: Path) -> None:
    X, Y = study()
    train, test = slice(0, 45), slice(45, 60)
    stored = fit_to_store(
        Ridge(GRID), X[train], Y[train], tmp_path / "fit", test=(X[test], Y[test])
    )
    guess = Ridge(GRID).fit(X[train], Y[train]).predict(X[test])
    np.testing.assert_allclose(stored["score"], scores.pearson(Y[test], guess), atol=1e-5)


def test_labels_and_places_come_back(tmp_path: Path) -> None:
    X, Y = study(t=20)
    stimulus = [f"s{n}" for n in range(60)]
    responses = from_arrays(
        Y, modality="fmri", stimulus=stimulus, roi=["V1"] * 20, attrs={"grid_shape": [2, 2, 5]}
    )
    features = xr.DataArray(
        X, dims=("sample", "feature"), coords={"space": ("feature", ["a"] * 12)}
    )
    stored = fit_to_store(Ridge(GRID), features, responses, tmp_path / "fit")
    assert stored["neuroid"].values.tolist() == responses["neuroid"].values.tolist()
    assert set(stored.coords) == {"neuroid", "roi", "space"}
    assert stored.attrs["grid_shape"] == [2, 2, 5]
    storage.save(stored, tmp_path / "copy.nc")


def test_a_constant_neuroid_has_no_weights(tmp_path: Path) -> None:
    X, Y = study(t=5)
    Y[:, 2] = 7
    stored = fit_to_store(Ridge(GRID), X, Y, tmp_path / "fit")
    assert (stored["weights"].values[:, 2] == 0).all()
    assert float(stored["intercept"][2]) == 7


PROGRAM = """
import sys, time
import numpy as np
from neuroalign.encoders import Ridge, fit_to_store, streaming
from tests_study import study, budget, GRID
X, Y = study(6000)
write = streaming.ChunkedFolder.write
def slow(self, number, values):
    write(self, number, values)
    print(number, flush=True)
    time.sleep(0.3)
streaming.ChunkedFolder.write = slow
fit_to_store(Ridge(GRID), X, Y, sys.argv[1], memory=budget(X, Y))
"""


def test_a_killed_fit_resumes_to_the_same_bits(tmp_path: Path) -> None:
    here = Path(__file__)
    (tmp_path / "tests_study.py").write_text(here.read_text(encoding="utf-8"), encoding="utf-8")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "fit")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "0"
    time.sleep(0.35)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with pytest.raises(DataCorruptionError, match="missing or damaged"):
        open_fit(tmp_path / "fit")
    X, Y = study(6000)
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "fit" / "done").iterdir()}
    assert done
    resumed = fit_to_store(Ridge(GRID), X, Y, tmp_path / "fit", memory=budget(X, Y))
    fresh = fit_to_store(Ridge(GRID), X, Y, tmp_path / "fresh", memory=budget(X, Y))
    np.testing.assert_array_equal(resumed["weights"].values, fresh["weights"].values)
    for name, when in done.items():
        assert (tmp_path / "fit" / "done" / name).stat().st_mtime_ns == when, "not done again"


def test_other_inputs_do_not_resume(tmp_path: Path) -> None:
    X, Y = study(t=5)
    fit_to_store(Ridge(GRID), X, Y, tmp_path / "fit")
    with pytest.raises(FileExistsError, match="fit: expected the same request"):
        fit_to_store(Ridge(GRID[:3]), X, Y, tmp_path / "fit")


@pytest.mark.parametrize("column", [0, 1250, 2499])
def test_other_responses_of_one_shape_do_not_resume(column: int, tmp_path: Path) -> None:
    X, Y = study()
    fit_to_store(Ridge(1.0), X, Y, tmp_path / "fit", test=(X, Y))
    other = Y.copy()
    other[:, column] += 1
    for known, held in ((other, Y), (Y, other)):
        with pytest.raises(FileExistsError, match="fit: expected the same request"):
            fit_to_store(Ridge(1.0), X, known, tmp_path / "fit", test=(X, held))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metric": "r"}, ValueError, "metric: .*Did you mean 'pearson'"),
        ({"test": (np.zeros((60, 3)), np.zeros((60, 30)))}, AlignError, "test: .*got .60, 3. and"),
        ({"test": (np.zeros((60, 12)), np.zeros((60, 1)))}, AlignError, "test: .*and .60, 1."),
        ({"test": (np.full((60, 12), np.nan), np.zeros((60, 30)))}, ValueError, "test.0.: .*NaN"),
        ({"X": np.full((60, 12), np.inf)}, ValueError, "X: expected finite numbers"),
        ({"X": np.zeros(60)}, ValueError, r"X: .*got shape \(60,\)"),
        ({"y": [[1.0]]}, ValueError, "y: expected an array .*got list"),
    ],
)
def test_faults_are_named_before_the_fit(
    options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    X, Y = study(t=30)
    with pytest.raises(error, match=message):
        fit_to_store(Ridge(), **({"X": X, "y": Y, "folder": tmp_path / "fit"} | options))
    assert not (tmp_path / "fit").exists()


@pytest.mark.parametrize(
    ("encoder", "change", "error", "message"),
    [
        (Ridge(alpha_per="global"), lambda Y: Y, ValueError, "encoder: expected Ridge"),
        (Ridge(), lambda Y: Y[:9], AlignError, r"y: expected \(60 samples, neuroid\)"),
        (Ridge(), lambda Y: np.where(Y[3, 4] == Y, np.nan, Y), ValueError, "among neuroids 0 to"),
    ],
)
def test_faults_are_named(
    encoder: Any, change: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    X, Y = study(t=30)
    with pytest.raises(error, match=message):
        fit_to_store(encoder, X, change(Y), tmp_path / "fit")


def test_chunks_cut_along_samples_are_refused_when_large(tmp_path: Path) -> None:
    X, Y = study()
    runs = da.from_array(Y, (20, 2500))
    with pytest.raises(SchemaError, match=r"y: expected chunks that span all 60 samples.*rechunk"):
        fit_to_store(Ridge(GRID), X, runs, tmp_path / "fit", memory=500_000)


@pytest.mark.slow
def test_workers_of_which_one_dies_give_the_same(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    X, Y = study(6000)
    alone = fit_to_store(Ridge(GRID), X, Y, tmp_path / "alone", memory=budget(X, Y))
    lazy = da.from_array(zarr.array(Y, store=str(tmp_path / "y.zarr"), chunks=(60, 1000)))
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
    ):
        first = next(iter(cluster.workers.values()))
        client.submit(_kill_later, first.pid, pure=False)
        shared = fit_to_store(
            Ridge(GRID), X, lazy, tmp_path / "shared", memory=budget(X, Y), client=client
        )
    np.testing.assert_allclose(shared["weights"], alone["weights"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(shared["alpha"], alone["alpha"], rtol=1e-5)


def _kill_later(pid: int) -> None:
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)


def test_one_penalty_has_no_error_to_store(tmp_path: Path) -> None:
    X, Y = study(t=30)
    stored = fit_to_store(Ridge(2.0), X, Y, tmp_path / "fit")
    np.testing.assert_allclose(stored["weights"], Ridge(2.0).fit(X, Y).coef_.T, rtol=1e-5)
    assert np.isnan(stored["cv_mse"]).all()
    (tmp_path / "fit" / "alpha" / "c" / "0").unlink()
    with pytest.raises(DataCorruptionError, match="missing or damaged"):
        open_fit(tmp_path / "fit")


@pytest.mark.parametrize("changed", ["X", "y", "encoder", "metric"])
def test_resuming_another_request_says_what_changed(changed: str, tmp_path: Path) -> None:
    X, Y = study(t=8)
    request = {"encoder": Ridge(1.0), "X": X, "y": Y, "metric": "pearson"}
    fit_to_store(**request, folder=tmp_path / "fit")
    other = {"encoder": Ridge(2.0), "X": 2 * X, "y": 2 * Y, "metric": "r2"}
    with pytest.raises(FileExistsError, match=rf"got another: '{changed}' changed"):
        fit_to_store(**request | {changed: other[changed]}, folder=tmp_path / "fit")


def test_rows_of_another_stimulus_are_refused(tmp_path: Path) -> None:
    X, Y = study(t=3)
    names = [f"s{row}" for row in range(len(X))]
    features = features_from_arrays(X, stimulus=names)
    responses = from_arrays(Y, stimulus=names, modality="fmri")
    with pytest.raises(AlignError, match="y: expected the 'stimulus' of X"):
        fit_to_store(Ridge(GRID), features, responses[::-1], tmp_path / "fit")
    held = features, responses[::-1]
    with pytest.raises(AlignError, match=r"test\[1\]: expected the 'stimulus' of test\[0\]"):
        fit_to_store(Ridge(GRID), features, responses, tmp_path / "fit", test=held)
