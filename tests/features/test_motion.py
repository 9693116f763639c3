"""Motion energy finds which way a grating drifts, and how fast."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from neuroalign import schema, storage
from neuroalign.errors import SchemaError
from neuroalign.features import motion_energy
from neuroalign.features.image_filters import make_gabor
from neuroalign.features.motion import build_bank, filter_time, make_temporal

RATE = 15.0


def grating(direction: float, speed: float, *, cycles: float = 4, n: int = 45) -> np.ndarray:
    """A grating on 24 x 32 pixels that drifts in a direction [degrees] at a speed [Hz]."""
    rows, columns = np.mgrid[:24, :32]
    angle = np.deg2rad(direction)
    place = 2 * np.pi * cycles / 24 * (columns * np.cos(angle) + rows * np.sin(angle))
    time = np.arange(n)[:, None, None] / RATE
    return 0.5 + 0.5 * np.cos(place - 2 * np.pi * speed * time)


def run(film: np.ndarray, **options: Any) -> xr.DataArray:
    frequencies = {"spatial_frequencies": [2.0, 4.0, 8.0]} | options
    return motion_energy({"run-01": film}, **({"rate": RATE} | frequencies))


@pytest.mark.parametrize(("direction", "speed"), [(0, 2), (90, 4), (180, 4), (315, 2), (135, 2)])
def test_a_drifting_grating_prefers_its_direction_and_speeds(direction: int, speed: int) -> None:
    energy = run(grating(direction, speed), temporal_frequencies=[0, 2, 4], compression="sqrt")
    keys = ["direction", "frequency", "temporal_frequency"]
    best = energy.values[15:30].mean(0)
    winner = int(best.argmax())
    assert [float(energy[key].values[winner]) for key in keys] == [direction, 4, speed]
    against = (energy["direction"] == (direction + 180) % 360).values
    same = (energy["direction"] == direction).values & (energy["temporal_frequency"] > 0).values
    assert best[same].max() > 5 * best[against].max()


def test_a_best_grating_gives_half_its_amplitude() -> None:
    energy = run(grating(0, 2) - 0.5, compression="sqrt")
    assert float(energy.values[15:30].max()) == pytest.approx(0.25, rel=0.03)
    squared = run(grating(0, 2) - 0.5, compression="none")
    np.testing.assert_allclose(squared.values, energy.values**2, rtol=1e-5, atol=1e-12)
    logarithm = run(grating(0, 2) - 0.5)
    np.testing.assert_allclose(logarithm.values, np.log(energy.values + 1e-5), rtol=1e-4)


def test_a_still_image_moves_nowhere(rng: np.random.Generator) -> None:
    still = np.repeat(rng.random((1, 24, 32)), 20, axis=0)
    energy = run(still, compression="sqrt")
    moving = (energy["temporal_frequency"] > 0).values
    assert energy.values[:, moving].max() < 1e-5
    assert energy.values[:, ~moving].max() > 1e-3
    assert sorted(set(energy["direction"].values[~moving])) == [0, 45, 90, 135]


def test_kernels_equal_brute_force_in_three_dimensions(rng: np.random.Generator) -> None:
    film = rng.random((9, 6, 8))
    energy = motion_energy(
        {"a": film},
        rate=10.0,
        n_directions=4,
        spatial_frequencies=[2.0],
        temporal_frequencies=[3.0],
        compression="none",
    )
    temporal = make_temporal(3.0, 3.0, 10.0, 1.0)
    half = len(temporal) // 2
    centred = film - film.mean((1, 2), keepdims=True)
    for index in range(energy.sizes["feature"]):
        one = energy[:, index]
        row, column = round(float(one.row) * 6 - 0.5), round(float(one.column) * 8 - 0.5)
        spatial = make_gabor((6, 8), float(one.direction), 2.0, 1.0)
        for t in range(9):
            total = 0j
            for k in range(-half, half + 1):
                frame = centred[min(max(t - k, 0), 8)]
                for y in range(6):
                    for x in range(8):
                        weight = spatial[5 + y - row, 7 + x - column] * temporal[half + k]
                        total += weight * frame[y, x]
            assert float(one[t]) == pytest.approx(abs(total) ** 2, rel=1e-3, abs=1e-7)


def test_the_quadrature_equals_pymoten(rng: np.random.Generator) -> None:
    core = pytest.importorskip("moten.core")
    film = rng.random((20, 12, 16))
    pair = {"direction": 45.0, "spatial_freq": 2.0, "spatial_env": 0.2, "temporal_freq": 2.0}
    pair |= {"filter_temporal_width": 9, "temporal_env": 0.2, "stimulus_fps": 15}
    sine, cosine, slow_sine, slow_cosine = core.mk_3d_gabor((12, 16), **pair)
    expected = np.hypot(*core.raw_project_stimulus(film, [pair], dtype="float64"))[:, 0]
    # pymoten leaves weights below 0.001 out, and puts zeros beyond the ends.
    bank = (cosine + 1j * sine).reshape(-1, 1) * (np.abs(cosine) + np.abs(sine) > 1e-3).reshape(
        -1, 1
    )
    projected = film.reshape(20, -1) @ bank
    ours = np.abs(filter_time(projected, slow_cosine + 1j * slow_sine))[:, 0]
    np.testing.assert_allclose(ours[4:-4], expected[4:-4], rtol=1e-6)


def test_places_tile_the_frame_more_finely_at_higher_frequencies() -> None:
    _, places = build_bank((24, 32), np.array([2.0, 8.0]), np.array([0.0]), 1.0, 3.5)
    coarse = places["frequency"] == 2
    assert coarse.sum() == 1
    assert (~coarse).sum() == 20
    np.testing.assert_allclose(places["row"][~coarse].mean(), 0.5, atol=0.03)
    assert places["column"].max() < 1


def test_films_keep_their_runs_and_survive_storage(rng: np.random.Generator, tmp_path: Any) -> None:
    films = {name: rng.random((10, 16, 16)) for name in ("run-02", "run-01")}
    both = motion_energy(films, rate=RATE, spatial_frequencies=[2.0])
    alone = motion_energy({"run-01": films["run-01"]}, rate=RATE, spatial_frequencies=[2.0])
    np.testing.assert_array_equal(both.values[10:], alone.values)
    assert both["run"].values.tolist() == ["run-02"] * 10 + ["run-01"] * 10
    np.testing.assert_allclose(both["onset"].values[10:], np.arange(10) / RATE)
    schema.check(both)
    storage.save(both, tmp_path / "energy.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "energy.nc"), both)


def test_colours_and_bytes_are_made_grey(rng: np.random.Generator) -> None:
    grey = rng.integers(0, 255, (6, 16, 16), dtype=np.uint8)
    options = {"spatial_frequencies": [2.0], "compression": "sqrt"}
    colour = run(np.repeat(grey[..., None], 3, axis=3), **options)
    np.testing.assert_allclose(colour.values, run(grey, **options).values, atol=1e-6)
    np.testing.assert_allclose(colour.values, run(grey / 255, **options).values, atol=1e-6)


FAULTS = [
    ({"n_directions": 3}, "n_directions: expected an even number, got 3"),
    ({"compression": "root"}, "compression: expected one of 'log', 'sqrt', 'none'"),
    ({"temporal_frequencies": [8.0]}, "at most half of the 15 frames per second of 'run-01', got"),
    ({"temporal_frequencies": []}, "temporal_frequencies: expected frequencies from 0 on"),
    ({"spatial_frequencies": [0.0]}, "spatial_frequencies: expected frequencies above 0"),
    ({"spatial_frequencies": [13.0]}, "expected at most 12 cycles for 24 pixels, got 13"),
    ({"spacing": 0.0}, "spacing: expected a positive number, got 0"),
    ({"rate": None}, r"rate: expected the frames per second of videos\['run-01'\], got None"),
    ({"size": (8, 8)}, "size: expected None for the array"),
]


@pytest.mark.parametrize(("options", "message"), FAULTS)
def test_impossible_filters_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(np.zeros((8, 24, 32)), **options)


def test_faults_of_films_are_named(rng: np.random.Generator) -> None:
    with pytest.raises(SchemaError, match=r"videos: expected a mapping of run to file or array"):
        motion_energy(rng.random((8, 24, 32)), rate=RATE)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=r"videos\['run-01'\]: expected a path, or uint8 or"):
        run(np.zeros((24, 32)))
    with pytest.raises(SchemaError, match="expected 1 or 3 channels last, got shape"):
        run(np.zeros((3, 24, 32, 2)))
    with pytest.raises(SchemaError, match=r"expected finite values, got NaN"):
        run(np.full((3, 24, 32), np.nan))
    films = {"a": np.zeros((3, 24, 32)), "b": np.zeros((3, 24, 30))}
    with pytest.raises(SchemaError, match=r"videos\['b'\]: expected frames of \(24, 32\)"):
        motion_energy(films, rate=RATE, spatial_frequencies=[2.0])
    with pytest.raises(MemoryError, match="memory_budget: expected at most 100 bytes, got"):
        run(np.zeros((8, 24, 32)), memory_budget=100)
