"""Feature spaces stand side by side, by label."""

import numpy as np
import pytest
import xarray as xr

from neuroalign.encoders import BandedRidge
from neuroalign.errors import AlignError, SchemaError
from neuroalign.features import join_features
from neuroalign.loaders import features_from_arrays
from neuroalign.schema import check_features
from neuroalign.storage import load, save

NAMES = ["cat", "dog", "owl", "fox"]


def make(width: int, **options: object) -> xr.DataArray:
    values = np.arange(4.0 * width).reshape(4, width)
    return features_from_arrays(values, **({"stimulus": NAMES} | options))  # type: ignore[arg-type]


def test_columns_stand_in_the_order_given_and_name_their_space() -> None:
    low, high = make(2), make(3)
    joined = check_features(join_features({"low": low, "high": high}))
    np.testing.assert_array_equal(joined.values, np.hstack([low.values, high.values]))
    assert joined["space"].values.tolist() == ["low"] * 2 + ["high"] * 3
    assert joined["stimulus"].values.tolist() == NAMES


def test_spaces_of_spaces_bear_both_names() -> None:
    joined = join_features({"net": make(2, space=["v1", "v4"]), "sound": make(1)})
    assert joined["space"].values.tolist() == ["net/v1", "net/v4", "sound"]


def test_only_coords_that_all_have_stay_on_features() -> None:
    low = make(2).assign_coords(feature=["u", "v"], band=("feature", [1.0, 2.0]))
    high = make(1).assign_coords(feature=["u"])
    joined = join_features({"low": low, "high": high})
    assert joined["feature"].values.tolist() == ["low/u", "low/v", "high/u"]
    assert "band" not in joined.coords


def test_dtype_is_the_widest_and_attrs_those_on_which_all_agree() -> None:
    low, high = make(1, model="net", layer="one"), make(1, model="net", dtype="float64")
    joined = join_features({"low": low.assign_attrs(history="x"), "high": high})
    assert joined.dtype == np.float64
    assert joined.attrs["model"] == "net"
    assert joined.attrs.get("layer", "") == ""
    assert joined.attrs["history"].split("\n")[-1] == "join_features(low, high)"
    assert "low: x" in joined.attrs["history"]


def test_spaces_can_be_brought_to_one_variance() -> None:
    joined = join_features({"low": make(2), "high": 100 * make(3)}, scale="variance")
    for name in ("low", "high"):
        own = joined.values[:, joined["space"].values == name]
        assert own.var(axis=0).sum() == pytest.approx(1.0)


def test_what_is_joined_is_saved_and_read_by_encoders(tmp_path, rng) -> None:  # type: ignore[no-untyped-def]
    joined = join_features({"low": make(2), "high": make(1)})
    save(joined, tmp_path / "joined.nc")
    assert load(tmp_path / "joined.nc").identical(joined)
    model = BandedRidge(1.0, cv=2, n_candidates=4).fit(joined, rng.normal(size=(4, 2)))
    assert model.spaces_ == ["low", "high"]


def test_continuous_features_are_compared_on_run_and_onset() -> None:
    clock = {"stimulus": None, "run": ["a"] * 4, "onset": [0.0, 1.0, 2.0, 3.0]}
    late = clock | {"onset": [0.0, 1.0, 2.0, 4.0]}
    assert join_features({"a": make(1, **clock), "b": make(2, **clock)}).shape == (4, 3)
    with pytest.raises(AlignError, match="'onset' of .* '4.0' against '3.0' in row 3"):
        join_features({"a": make(1, **clock), "b": make(2, **late)})
    with pytest.raises(AlignError, match=r"spaces\['b'\]: expected 'stimulus', or 'run' and"):
        join_features({"a": make(1), "b": make(2, **clock)})


def test_rows_in_another_order_or_number_are_refused() -> None:
    with pytest.raises(
        AlignError, match=r"spaces\['b'\]: expected the 'stimulus' of spaces\['a'\]"
    ):
        join_features({"a": make(1), "b": make(1)[::-1]})
    with pytest.raises(AlignError, match=r"spaces\['b'\]: expected 4 samples .* got 3"):
        join_features({"a": make(1), "b": make(1)[:3]})


def test_what_is_no_features_is_named() -> None:
    with pytest.raises(ValueError, match="spaces: expected a mapping .* got list"):
        join_features([make(1)])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="spaces: expected a mapping .* got none"):
        join_features({})
    with pytest.raises(SchemaError, match=r"spaces\['a'\]: expected a DataArray .* got ndarray"):
        join_features({"a": np.zeros((4, 1))})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="scale: expected one of 'none', 'variance', got 'z'"):
        join_features({"a": make(1)}, scale="z")
    cube = make(1).expand_dims(time=2).transpose("sample", "feature", "time")
    with pytest.raises(SchemaError, match=r"spaces\['a'\]: expected dims \('sample', 'feature'\)"):
        join_features({"a": cube})
