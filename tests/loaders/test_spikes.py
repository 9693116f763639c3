"""Counts around events and through runs: edges, ragged trials, layouts, faults."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroalign import storage
from neuroalign.errors import LoadError, NeuroalignWarning, SchemaError
from neuroalign.loaders.spikes import bin_continuous, bin_trials, compute_psth, from_spikes
from neuroalign.schema import check_responses


def make_events(onset: list[float], duration: float = 1.0) -> pd.DataFrame:
    names = ["a", "b"] * len(onset)
    return pd.DataFrame({"onset": onset, "duration": duration, "stimulus": names[: len(onset)]})


@pytest.mark.parametrize("offset", [0.0, 1.0, 4397.0, 4397.3, 86400.1])
@pytest.mark.parametrize("width", [0.1, 0.001, 0.05, 1 / 3])
def test_a_spike_on_an_edge_counts_in_the_bin_that_starts_there(
    offset: float, width: float
) -> None:
    spikes = offset + np.arange(30) * width
    counts = bin_trials(
        {"u": spikes}, make_events([offset]), window=(0, 30 * width), bin_width=width
    )
    assert np.array_equal(counts.values[0, 0], np.ones(30))


def test_three_tenths_and_six_tenths_are_in_bins_three_and_six() -> None:
    counts = bin_trials({"u": [0.3, 0.6]}, make_events([0.0]), window=(0, 1), bin_width=0.1)
    assert np.flatnonzero(counts.values[0, 0]).tolist() == [3, 6]


def test_a_spike_just_before_an_edge_stays_in_its_bin() -> None:
    counts = bin_trials({"u": [0.3 - 1e-6]}, make_events([0.0]), window=(0, 1), bin_width=0.1)
    assert np.flatnonzero(counts.values[0, 0]).tolist() == [2]


def test_the_last_edge_is_left_out_and_the_first_is_in() -> None:
    counts = bin_trials({"u": [0.9, 2.0]}, make_events([1.0]), window=(-0.1, 1), bin_width=0.1)
    assert np.flatnonzero(counts.values[0, 0]).tolist() == [0]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-2, 1), st.integers(1, 40))
def test_counts_equal_a_brute_force_count(seed: int, start: float, n_bins: int) -> None:
    rng = np.random.default_rng(seed)
    spikes, onset = rng.uniform(0, 20, 300), np.sort(rng.uniform(2, 15, 7))
    window = (start, start + n_bins * 0.1)
    counts = bin_trials({"u": spikes}, make_events(list(onset)), window=window, bin_width=0.1)
    for row, begin in enumerate(onset + start):
        edges = begin + np.arange(n_bins + 1) * 0.1
        assert np.array_equal(counts.values[row, 0], np.histogram(spikes, edges)[0])


def test_unsorted_big_endian_and_empty_trains_are_read() -> None:
    trains = {"u": np.array([0.9, 0.1, 0.5], dtype=">f8"), "silent": np.array([])}
    counts = bin_trials(trains, make_events([0.0]), window=(0, 1), bin_width=0.5)
    assert counts.values[0].tolist() == [[1, 2], [0, 0]]
    assert counts.dtype == np.dtype("float32")
    assert counts.dtype.isnative


def test_negative_times_count_like_others() -> None:
    counts = bin_trials({"u": [-0.2, 0.2]}, make_events([0.0]), window=(-1, 1), bin_width=1.0)
    assert counts.values[0, 0].tolist() == [1, 1]


def test_overlapping_trials_count_a_spike_twice() -> None:
    counts = bin_trials({"u": [1.2]}, make_events([1.0, 1.1]), window=(0, 1), bin_width=0.5)
    assert counts.values[:, 0, 0].tolist() == [1, 1]


def test_the_labels_follow_the_schema_and_survive_storage(tmp_path: Path) -> None:
    units = pd.DataFrame(
        {"region": ["CA1", None], "quality": ["good", "mua"], "x": [1.0, 2.0]}, index=["u", "v"]
    )
    events = make_events([0.0, 2.0, 4.0])
    counts = bin_trials(
        {"v": [0.1], "u": [2.1]}, events, window=(0, 1), bin_width=0.25, units=units, run="run-01"
    )
    assert counts["region"].values.tolist() == ["unknown", "CA1"]
    assert counts["time"].values.tolist() == [0.125, 0.375, 0.625, 0.875]
    assert counts["repeat"].values.tolist() == [0, 0, 1]
    assert counts.attrs["units"] == "count"
    assert counts.attrs["sampling_rate"] == 4
    storage.save(check_responses(counts), tmp_path / "counts.nc")
    xr.testing.assert_identical(storage.load(tmp_path / "counts.nc"), counts)


def test_trials_end_at_their_own_duration() -> None:
    events = make_events([0.0, 10.0]).assign(duration=[0.55, 1.0])
    counts = bin_trials({"u": [0.52, 10.95]}, events, window=None, bin_width=0.1)
    assert counts["valid"].values.sum(axis=1).tolist() == [5, 10]
    assert np.array_equal(np.isnan(counts.values[:, 0]), ~counts["valid"].values)
    assert counts.values[1, 0, 9] == 1


def test_a_window_may_end_trials_at_their_duration() -> None:
    events = make_events([0.0, 10.0]).assign(duration=[0.5, 3.0])
    counts = bin_trials(
        {"u": [0.1, 11.0]}, events, window=(-0.5, 1), bin_width=0.5, ragged_stop=True
    )
    assert counts["valid"].values.tolist() == [[True, True, False], [True, True, True]]


def test_bins_that_were_not_recorded_are_nan() -> None:
    spans = {"u": np.array([[0.5, 1.0], [0.0, 0.5], [0.25, 0.6]]), "v": np.array([[0.25, 1.0]])}
    counts = bin_trials(
        {"u": [0.1], "v": [0.3]},
        make_events([0.0, 0.5]),
        window=(0, 1),
        bin_width=0.5,
        observed=spans,
    )
    assert np.isnan(counts.values).tolist() == [
        [[False, False], [True, False]],
        [[False, True], [False, True]],
    ]
    assert counts["valid"].values.tolist() == [[True, True], [True, False]]


def test_a_spike_time_that_is_nan_names_its_unit() -> None:
    with pytest.raises(LoadError, match=r"trains\['bad'\]: .* nan at position 1 \(1 of 2\)"):
        bin_trials({"bad": [0.1, np.nan]}, make_events([0.0]), window=(0, 1), bin_width=0.1)


def test_no_units_are_refused() -> None:
    with pytest.raises(LoadError, match="expected one unit or more"):
        bin_trials({}, make_events([0.0]), window=(0, 1), bin_width=0.1)


def test_a_window_that_bins_do_not_fill_is_refused_with_the_nearest() -> None:
    with pytest.raises(LoadError, match=r"nearest that fits is \(-0.5, 1\)"):
        bin_trials({"u": [0.1]}, make_events([0.0]), window=(-0.5, 1.04), bin_width=0.1)


@pytest.mark.parametrize("width", [0.0, -0.1, np.nan])
def test_a_bin_width_not_above_zero_is_refused(width: float) -> None:
    with pytest.raises(LoadError, match="bin_width: expected seconds above 0"):
        bin_trials({"u": [0.1]}, make_events([0.0]), window=(0, 1), bin_width=width)


def test_a_window_that_runs_backwards_is_refused() -> None:
    with pytest.raises(LoadError, match="stop > start"):
        bin_trials({"u": [0.1]}, make_events([0.0]), window=(1, 0), bin_width=0.1)


def test_events_in_other_units_of_time_are_refused() -> None:
    with pytest.raises(LoadError, match=r"on the clock of the spikes .* got 1000 to 2000 s"):
        bin_trials({"u": [1.0, 2.0]}, make_events([1e3, 2e3]), window=(0, 1), bin_width=0.1)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (make_events([]), "one event or more"),
        (make_events([0.0, np.nan]), r"onset as numbers \(times in s\), got 'nan' in row 1"),
        (make_events([0.0]).drop(columns="onset"), "column 'onset'"),
        (make_events([0.0]).drop(columns="stimulus"), "column 'stimulus', or run="),
        (make_events([0.0], -1.0), "of 0 or more, got '-1.0' in row 0"),
    ],
)
def test_bad_events_are_named(events: pd.DataFrame, words: str) -> None:
    with pytest.raises(LoadError, match=words):
        bin_trials({"u": [0.1]}, events, window=(0, 1), bin_width=0.1)


def test_durations_below_one_bin_are_refused() -> None:
    with pytest.raises(LoadError, match="durations of one bin"):
        bin_trials({"u": [0.1]}, make_events([0.0], 0.05), window=None, bin_width=0.1)


def test_stimuli_that_are_numbers_are_refused() -> None:
    events = make_events([0.0]).assign(stimulus=[1])
    with pytest.raises(SchemaError, match="stimulus: expected strings"):
        bin_trials({"u": [0.1]}, events, window=(0, 1), bin_width=0.1)


def test_a_units_table_without_a_unit_is_refused() -> None:
    units = pd.DataFrame({"region": ["CA1"]}, index=["v"])
    with pytest.raises(LoadError, match=r"1 units without: 'u'"):
        bin_trials({"u": [0.1]}, make_events([0.0]), window=(0, 1), bin_width=0.1, units=units)


def test_observed_intervals_of_another_shape_are_refused() -> None:
    with pytest.raises(LoadError, match=r"observed\['u'\]: expected intervals"):
        bin_trials(
            {"u": [0.1]},
            make_events([0.0]),
            window=(0, 1),
            bin_width=0.1,
            observed={"u": np.zeros(2)},
        )


def test_binning_is_faster_than_a_loop_of_histograms(rng: np.random.Generator) -> None:
    trains = {f"u{n}": np.sort(rng.uniform(0, 1000, 5000)) for n in range(20)}
    onset = np.arange(200) * 4.0
    started = time.perf_counter()
    counts = bin_trials(trains, make_events(list(onset)), window=(0, 1), bin_width=0.01)
    ours = time.perf_counter() - started
    started = time.perf_counter()
    loop = [
        [np.histogram(train, at + np.linspace(0, 1, 101))[0] for train in trains.values()]
        for at in onset
    ]
    assert ours < time.perf_counter() - started
    assert np.array_equal(counts.values, np.array(loop))


LAYOUTS = {
    "mapping": ({"1": [0.1, 0.6], "2": [0.7]}, None),
    "flat with ids": (np.array([0.7, 0.1, 0.6]), [2, 1, 1]),
    "float ids": (np.array([0.7, 0.1, 0.6]), [2.0, 1.0, 1.0]),
    "list of arrays": ([np.array([0.1, 0.6]), np.array([0.7])], [1, 2]),
    "table": (pd.DataFrame({"neuron": [1, 2, 1], "time": [0.6, 0.7, 0.1]}), None),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_counts(layout: str) -> None:
    times, ids = LAYOUTS[layout]
    counts = from_spikes(times, ids, events=make_events([0.0]), window=(0, 1), bin_width=0.5)
    assert counts["neuroid"].values.tolist() == ["1", "2"]
    assert counts.values[0].tolist() == [[1, 1], [0, 1]]


def test_flat_times_without_ids_are_one_unit() -> None:
    counts = from_spikes([0.1, 0.2], events=make_events([0.0]), window=(0, 1), bin_width=1)
    assert counts["neuroid"].values.tolist() == ["unit-0000"]
    assert counts.item() == 2


@pytest.mark.parametrize(
    ("unit", "scale", "rate"), [("ms", 1e3, None), ("us", 1e6, None), ("samples", 3e4, 3e4)]
)
def test_units_of_time_are_converted(unit: str, scale: float, rate: float | None) -> None:
    counts = from_spikes(
        np.array([0.3, 0.6]) * scale,
        events=make_events([0.0]),
        window=(0, 1),
        bin_width=0.1,
        time_unit=unit,
        sampling_rate=rate,
    )
    assert np.flatnonzero(counts.values[0, 0]).tolist() == [3, 6]


def test_a_table_with_trials_counts_from_each_trial() -> None:
    table = pd.DataFrame({"neuron": ["n"] * 3, "time": [0.3, 0.6, -0.1], "trial": [7, 9, 9]})
    events = pd.DataFrame({"trial": [9, 7], "stimulus": ["a", "b"], "onset": [4397.3, 1.0]})
    counts = from_spikes(table, events=events, window=(-0.1, 0.9), bin_width=0.1)
    assert [np.flatnonzero(row).tolist() for row in counts.values[:, 0]] == [[0, 7], [4]]
    bare = from_spikes(
        table, events=events.drop(columns="onset"), window=(-0.1, 0.9), bin_width=0.1
    )
    assert "onset" not in bare.coords
    assert np.array_equal(bare.values, counts.values)


def test_a_trial_that_events_lack_is_refused() -> None:
    table = pd.DataFrame({"neuron": ["n"], "time": [0.3], "trial": [3]})
    with pytest.raises(LoadError, match=r"got 1 others \('3'\)"):
        from_spikes(table, events=make_events([0.0]), window=(0, 1), bin_width=0.1)


def test_trials_named_twice_are_refused() -> None:
    table = pd.DataFrame({"neuron": ["n"], "time": [0.3], "trial": [3]})
    events = make_events([0.0, 1.0]).assign(trial=3)
    with pytest.raises(LoadError, match="each trial once"):
        from_spikes(table, events=events, window=(0, 1), bin_width=0.1)


def test_observed_intervals_of_trial_tables_are_refused() -> None:
    table = pd.DataFrame({"neuron": ["n"], "time": [0.3], "trial": [0]})
    observed = {"n": np.array([[0.0, 1.0]])}
    with pytest.raises(LoadError, match="observed: expected none"):
        from_spikes(
            table, events=make_events([0.0]), window=(0, 1), bin_width=0.1, observed=observed
        )


@pytest.mark.parametrize(
    ("times", "ids", "words"),
    [
        (np.array([0.1, 0.2]), [1], "one id for each of 2 spikes"),
        ([np.array([0.1]), np.array([0.2])], [1, 1], "2 unique ids"),
        ({1: [0.1], "1": [0.2]}, None, "2 unique ids"),
        (pd.DataFrame({"time": [0.1]}), None, "columns 'neuron', 'time'"),
    ],
)
def test_layouts_that_do_not_fit_are_refused(times: object, ids: object, words: str) -> None:
    with pytest.raises(LoadError, match=words):
        from_spikes(times, ids, events=make_events([0.0]), window=(0, 1), bin_width=0.1)  # type: ignore[arg-type]


def test_samples_need_a_rate_and_units_a_known_name() -> None:
    events = make_events([0.0])
    with pytest.raises(LoadError, match="sampling_rate: expected Hz above 0"):
        from_spikes([1.0], events=events, window=(0, 1), bin_width=0.1, time_unit="samples")
    with pytest.raises(ValueError, match="time_unit: expected one of"):
        from_spikes([1.0], events=events, window=(0, 1), bin_width=0.1, time_unit="minutes")


def test_a_psth_is_the_mean_rate_of_the_valid_trials() -> None:
    events = pd.DataFrame(
        {"onset": [0.0, 2, 4], "duration": [1.0, 0.5, 1.0], "stimulus": ["b", "b", "a"]}
    )
    counts = bin_trials({"u": [0.1, 0.6, 2.1, 2.2]}, events, window=None, bin_width=0.5)
    psth = compute_psth(counts)
    assert psth["stimulus"].values.tolist() == ["b", "a"]
    assert psth.values[:, 0].tolist() == [[3.0, 2.0], [0.0, 0.0]]
    assert psth["n_valid"].values.tolist() == [[2, 1], [1, 1]]
    assert psth.attrs["units"] == "Hz"
    assert psth["n_trials"].values.tolist() == [2, 1]


def test_a_psth_of_what_is_not_counts_is_refused() -> None:
    counts = bin_trials({"u": [0.1]}, make_events([0.0]), window=(0, 1), bin_width=0.5)
    with pytest.raises(LoadError, match="expected counts"):
        compute_psth(compute_psth(counts))
    with pytest.raises(LoadError, match="by: expected a coord"):
        compute_psth(counts, by="contrast")


def test_a_run_is_counted_in_bins_that_follow() -> None:
    counts = bin_continuous(
        {"u": [10.3, 10.6], "v": []},
        start=10,
        stop=11,
        bin_width=0.1,
        run="run-01",
        observed={"v": np.array([[10.0, 10.5]])},
    )
    assert counts.dims == ("sample", "neuroid")
    assert np.flatnonzero(counts.values[:, 0]).tolist() == [3, 6]
    assert np.isnan(counts.values[:, 1]).sum() == 5
    assert np.allclose(counts["onset"].values, 10 + np.arange(10) * 0.1)


def test_a_run_that_bins_do_not_fill_is_refused() -> None:
    with pytest.raises(LoadError, match="start, stop: expected a multiple"):
        bin_continuous({"u": [0.1]}, stop=1.04, bin_width=0.1, run="run-01")


def test_a_rat_place_cell_fires_at_its_place(real_data: Path) -> None:
    file = scipy.io.loadmat(real_data / "place_cell_kramer_eden/spikes-1.mat", squeeze_me=True)
    clock, place = file["t"], file["X"]
    stop = np.floor((clock[-1] - clock[0]) / 0.001) * 0.001
    counts = bin_continuous(
        {"rat": file["spiketimes"]},
        start=clock[0],
        stop=clock[0] + stop,
        bin_width=0.001,
        run="run-01",
    ).values[:, 0]
    assert counts.sum() in (len(file["spiketimes"]), len(file["spiketimes"]) - 1)
    where = np.clip(place[: len(counts)] // 10, 0, 9).astype(int)
    time_there = np.bincount(where, minlength=10) * 0.001
    rate = np.bincount(where, counts, minlength=10) / time_there
    share = time_there / time_there.sum()
    mean = (share * rate).sum()
    part = rate[rate > 0] / mean
    assert rate.argmax() == 6
    assert rate.max() == pytest.approx(14.4, abs=0.1)
    assert (share[rate > 0] * part * np.log2(part)).sum() == pytest.approx(2.46, abs=0.01)


def test_planning_neurons_tell_the_direction(real_data: Path) -> None:
    file = scipy.io.loadmat(real_data / "place_cell_kramer_eden/10_spikes-1.mat", squeeze_me=True)
    trial, sample = np.nonzero(file["train"])
    table = pd.DataFrame({"neuron": "m", "time": (sample - 1000) / 1000, "trial": trial})
    events = pd.DataFrame({"stimulus": file["direction"].astype(str)})
    counts = from_spikes(table, events=events, window=(-1, 1), bin_width=0.05)
    psth = compute_psth(counts).sel(time=slice(None, 0)).mean("time")
    rates = dict(zip(psth["stimulus"].values.tolist(), psth.values[:, 0].tolist(), strict=True))
    assert rates["0"] == pytest.approx(50, abs=1.5)
    assert rates["1"] == pytest.approx(28, abs=1.5)


def trains_of(n: int = 400, stop: float = 45.0) -> dict[str, np.ndarray]:
    return {"a": np.linspace(0.0005, stop, n), "b": np.linspace(0.0006, stop, n)}


def events_of(onset: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"onset": onset, "duration": 1.0, "stimulus": ["s"] * len(onset)})


@pytest.mark.parametrize(
    ("scale", "onset", "window", "width", "message"),
    [
        (1000.0, np.arange(1.0, 45.0, 2), (-0.2, 0.8), 0.1, "events: expected to be spread over"),
        (1.0, np.arange(1.0, 90.0, 2), (0.0, 1.0), 0.1, r"22 of 45 outside, whose counts are 0"),
        (1.0, np.arange(1.0, 45.0, 2), (-200.0, 800.0), 100.0, "window: expected seconds around"),
    ],
)
def test_other_units_of_time_are_suspected(
    scale: float, onset: np.ndarray, window: tuple[float, float], width: float, message: str
) -> None:
    trains = {name: times * scale for name, times in trains_of(4000).items()}
    with pytest.warns(NeuroalignWarning, match=message):
        bin_trials(trains, events_of(onset), window=window, bin_width=width)


def test_what_was_recorded_silences_the_suspicion() -> None:
    observed = {name: np.array([[0.0, 100.0]]) for name in "ab"}
    options = {"window": (0.0, 1.0), "bin_width": 0.1, "observed": observed}
    counts = bin_trials(trains_of(), events_of(np.arange(1.0, 90.0, 2)), **options)
    assert (counts[30:] == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0.8}, r"window: expected \(start, stop\) in seconds, got 0.8"),
        ({"bin_width": "100ms"}, "bin_width: expected seconds above 0, got 100ms"),
        ({"events": np.arange(3.0)}, "events: expected a DataFrame with 'onset'.*got ndarray"),
    ],
)
def test_arguments_of_another_type_are_named(options: dict[str, object], message: str) -> None:
    usual = {"events": events_of(np.arange(3.0)), "window": (0.0, 1.0), "bin_width": 0.1}
    with pytest.raises(LoadError, match=message):
        bin_trials({"a": np.array([0.5])}, **{**usual, **options})


MICRO = {"a": [3e3, 5e5, 9e6]}


def test_a_recording_that_lies_outside_its_bins_is_refused() -> None:
    with pytest.raises(LoadError, match=r"got all 3 outside, .* Are they in ms or us\?"):
        bin_continuous(MICRO, stop=10, bin_width=0.01, run="r")
    with pytest.raises(LoadError, match=r"expected spikes from -0.5 to 10 s, got all 3 outside"):
        from_spikes(MICRO, events=make_events([0.0, 9.0]), window=(-0.5, 1.0), bin_width=0.1)
    trials = pd.DataFrame({"neuron": "a", "time": MICRO["a"], "trial": [0, 0, 1]})
    with pytest.raises(LoadError, match="got all 3 outside"):
        from_spikes(trials, events=make_events([0.0, 9.0]), window=(0, 1), bin_width=0.1)


@pytest.mark.parametrize("unit", ["us", "\N{MICRO SIGN}s", "\N{GREEK SMALL LETTER MU}s"])
def test_a_run_in_microseconds_is_counted(unit: str) -> None:
    counts = bin_continuous(MICRO, stop=10, bin_width=0.01, run="r", time_unit=unit)
    assert np.flatnonzero(counts.values[:, 0]).tolist() == [0, 50, 900]
    with pytest.raises(ValueError, match=r"time_unit: .* got 'uss'. Did you mean 'us'"):
        bin_continuous(MICRO, stop=10, bin_width=0.01, run="r", time_unit="uss")


def test_spikes_outside_the_run_are_counted_and_told() -> None:
    with pytest.warns(NeuroalignWarning, match=r"got 2 of 4 \(50.0%\) outside"):
        bin_continuous({"a": [1.0, 2.0, 12.0], "b": [10.0]}, stop=10, bin_width=1, run="r")
    nearly = bin_continuous({"a": np.arange(201) / 20}, stop=10, bin_width=1, run="r")
    assert "1 of 201 spikes outside left out" in nearly.attrs["history"]


def test_trains_without_names_are_refused() -> None:
    with pytest.raises(LoadError, match="trains: expected a mapping .* got ndarray"):
        bin_continuous(np.array([0.1, 0.2]), stop=1, bin_width=0.1, run="r")  # type: ignore[arg-type]
