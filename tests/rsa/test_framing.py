"""Frames: what they add to each run, and that RDMs then see the mean of patterns."""

import numpy as np
import pytest

from neuroalign.errors import SchemaError
from neuroalign.loaders import from_arrays
from neuroalign.rsa.framing import frame_responses


def test_each_run_gets_both_frames(rng: np.random.Generator) -> None:
    responses = from_arrays(
        rng.normal(size=(4, 3)),
        modality="fmri",
        stimulus=["a", "b", "a", "b"],
        run=["run-1", "run-1", "run-2", "run-2"],
    )
    framed = frame_responses(responses, constant=2.0)
    np.testing.assert_array_equal(framed.values[:4], responses.values)
    assert framed["stimulus"].values[4:].tolist() == ["frame:zero"] * 2 + ["frame:constant"] * 2
    assert framed["run"].values[4:].tolist() == ["run-1", "run-2"] * 2
    assert framed.values[4:6].max() == 0
    assert (framed.values[6:] == 2).all()
    assert framed.attrs["modality"] == "fmri"


def test_frames_tell_patterns_that_differ_in_mean_only() -> None:
    base = np.array([[1.0, 2, 3], [2, 3, 4]])
    for shift in (0.0, 5.0):
        framed = frame_responses(
            from_arrays(base + shift, modality="fmri", stimulus=["a", "b"]), constant=1.0
        ).values
        assert np.square(framed[0] - framed[1]).sum() == pytest.approx(3)
        assert np.square(framed[0] - framed[2]).sum() == pytest.approx(
            np.square(base[0] + shift).sum()
        )


def test_framing_twice_raises() -> None:
    framed = frame_responses(from_arrays(np.ones((2, 3)), modality="fmri", stimulus=["a", "b"]))
    with pytest.raises(SchemaError, match="responses: expected coord 'stimulus' without"):
        frame_responses(framed)


def test_missing_values_leave_the_frame_finite() -> None:
    values = np.array([[3.0, np.nan], [3.0, 3.0]])
    framed = frame_responses(from_arrays(values, modality="fmri", stimulus=["a", "b"]))
    assert (framed.values[-1] == 3.0).all()
