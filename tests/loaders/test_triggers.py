"""Events move to their triggers, whatever the table's clock and however the two miscount."""

import numpy as np
import pandas as pd
import pytest

from neuroalign.errors import LoadError, NeuroalignWarning
from neuroalign.loaders import correct_to_triggers

RATE, FIRST = 1200.0, 5000


def make(
    rng: np.random.Generator, n: int = 60, shift: float = 0.15
) -> tuple[pd.DataFrame, np.ndarray]:
    """A run: the table's onsets are early by the shift and jittered by a few ms."""
    true = np.cumsum(rng.uniform(1.3, 1.7, n)) + 3
    numbers = rng.choice(np.arange(100, 1900), n, replace=False)
    events = pd.DataFrame({"onset": true - shift + rng.uniform(-0.004, 0.004, n)})
    events = events.assign(duration=0.5, value=numbers.astype(str), stimulus="image")
    samples = np.round(true * RATE).astype(int) + FIRST
    return events, np.column_stack([samples, np.zeros(n, int), numbers])


def insert(triggers: np.ndarray, seconds: float, value: int) -> np.ndarray:
    row = [round(seconds * RATE) + FIRST, 0, value]
    rows = np.vstack([triggers, row])
    return rows[np.argsort(rows[:, 0], kind="stable")]


def correct(events: pd.DataFrame, triggers: np.ndarray, **options: object) -> pd.DataFrame:
    return correct_to_triggers(
        events,
        triggers,
        sampling_rate=RATE,
        first_sample=FIRST,
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("shift", [0.15, -0.15, 0.0])
def test_onsets_are_those_of_the_triggers(rng: np.random.Generator, shift: float) -> None:
    events, triggers = make(rng, shift=shift)
    corrected = correct(events, triggers)
    np.testing.assert_allclose(corrected["onset"], (triggers[:, 0] - FIRST) / RATE)
    np.testing.assert_array_equal(corrected["table_onset"], events["onset"])
    assert corrected["shift"].median() == pytest.approx(shift, abs=0.005)
    assert not corrected["mismatch"].any()
    assert corrected["stimulus"].eq("image").all()


@pytest.mark.parametrize("seconds", [0.1, 40.3, 500.0])
def test_one_trigger_too_many_with_value_32_is_dropped(
    rng: np.random.Generator, seconds: float
) -> None:
    events, triggers = make(rng)
    corrected = correct(events, insert(triggers, seconds, 32))
    np.testing.assert_allclose(corrected["onset"], (triggers[:, 0] - FIRST) / RATE)


def test_an_image_whose_number_is_32_keeps_its_trigger(rng: np.random.Generator) -> None:
    events, triggers = make(rng)
    events.loc[20, "value"], triggers[20, 2] = "32", 32
    corrected = correct(events, insert(triggers, 60.1, 32))
    np.testing.assert_allclose(corrected["onset"], (triggers[:, 0] - FIRST) / RATE)
    assert not corrected["mismatch"].any()


def test_numbers_that_differ_are_counted_and_marked(rng: np.random.Generator) -> None:
    events, triggers = make(rng)
    triggers[[3, 9], 2] += 1
    with pytest.warns(NeuroalignWarning, match="got 2 of 60 that differ, in rows '3', '9'"):
        corrected = correct(events, triggers)
    assert np.flatnonzero(corrected["mismatch"]).tolist() == [3, 9]
    assert corrected["value"].tolist() == events["value"].tolist()
    triggers[:30, 2] += 1
    with pytest.raises(LoadError, match="got 30 of 60 that differ .at most 20."):
        correct(events, triggers)
    assert "mismatch" not in correct(events, triggers, value=None)


def test_a_missing_trigger_is_not_filled_by_the_next(rng: np.random.Generator) -> None:
    events, triggers = make(rng)
    with pytest.raises(LoadError, match=r"expected 60 .one for each event., got 59, 59 after"):
        correct(events, np.delete(triggers, 30, axis=0))
    swapped = insert(np.delete(triggers, 30, axis=0), 200.0, 7)
    with pytest.raises(
        LoadError, match=r"expected one shift .*first another than in row 0 in row 30"
    ):
        correct(events, swapped)
    with pytest.raises(LoadError, match=r"got 61, 61 after dropping values \[32\]"):
        correct(events, insert(triggers, 2.0, 7))


def test_other_shapes_and_orders_are_refused(rng: np.random.Generator) -> None:
    events, triggers = make(rng)
    with pytest.raises(LoadError, match=r"triggers: expected .trigger, 3. as MNE has them"):
        correct(events, triggers[:, 0])
    with pytest.raises(LoadError, match="events: expected sorted onsets in seconds"):
        correct(events.iloc[::-1], triggers)
    with pytest.raises(LoadError, match=r"events: expected columns \['value'\], got"):
        correct(events.drop(columns="value"), triggers)
