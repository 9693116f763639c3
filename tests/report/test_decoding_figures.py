"""The figure of a decoding shows its shares, its folds and its null."""

import numpy as np
import pytest
import xarray as xr

from neuroalign import report
from neuroalign.errors import SchemaError


@pytest.fixture
def decoding() -> xr.Dataset:
    names = ["face", "house", "cat"]
    return xr.Dataset(
        {
            "confusion": (("true", "predicted"), [[6, 2, 0], [1, 7, 0], [0, 0, 0]]),
            "score": ("fold", [0.7, 0.9]),
            "chance": 1 / 3,
            "null": ("permutation", np.linspace(0.2, 0.5, 20)),
            "balanced_accuracy": 0.8,
        },
        coords={"true": names, "predicted": names},
        attrs={"kind": "estimate", "method": "decode_classes", "metric": "balanced_accuracy"},
    )


def test_each_row_is_the_share_of_a_true_class(decoding: xr.Dataset) -> None:
    left, right = report.plot_confusion(decoding).axes[:2]
    drawn = left.images[0].get_array()
    np.testing.assert_allclose(drawn[:2], [[0.75, 0.25, 0], [0.125, 0.875, 0]])
    assert np.ma.getmaskarray(drawn)[2].all()
    numbers = [text.get_text() for text in left.texts]
    assert numbers == ["0.75", "0.25", "0.00", "0.12", "0.88", "0.00"]
    assert [label.get_text() for label in left.get_yticklabels()] == ["face", "house", "cat"]
    folds, mean, chance = right.get_lines()
    assert folds.get_ydata().tolist() == [0.7, 0.9]
    assert mean.get_ydata()[0] == pytest.approx(0.8)
    assert chance.get_ydata()[0] == pytest.approx(1 / 3)
    assert [label.get_text() for label in right.get_xticklabels()] == ["null", "data"]
    legend = right.get_legend()
    right.figure.draw_without_rendering()
    assert not legend.get_window_extent().overlaps(right.get_window_extent())


def test_without_a_null_none_is_drawn(decoding: xr.Dataset) -> None:
    right = report.plot_confusion(decoding.drop_vars("null")).axes[1]
    assert [label.get_text() for label in right.get_xticklabels()] == ["data"]
    assert not right.collections


def test_other_results_are_refused(decoding: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="decoders.decode_classes"):
        report.plot_confusion(decoding.drop_vars("confusion"))
