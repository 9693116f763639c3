"""Fitted models go to a file; what cannot is refused, and nothing in a file is run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from neuroalign import storage
from neuroalign.errors import LoadError, SchemaError
from neuroalign.latents import HMM, FactorAnalysis, ProbabilisticPCA


@pytest.fixture(scope="module")
def fitted() -> FactorAnalysis:
    X = np.random.default_rng(0).normal(size=(200, 6)) * [1, 2, 3, 4, 5, 6]
    return ProbabilisticPCA(2).fit(X)


def test_a_model_that_is_not_fitted_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        FactorAnalysis(2).save(tmp_path / "model.nc")


def test_a_file_is_not_overwritten_unless_asked(fitted: Any, tmp_path: Path) -> None:
    path = fitted.save(tmp_path / "model.nc")
    with pytest.raises(FileExistsError):
        fitted.save(path)
    assert fitted.save(path, overwrite=True) == path


def test_another_class_or_object_is_refused(fitted: Any, tmp_path: Path) -> None:
    path = fitted.save(tmp_path / "model.nc")
    with pytest.raises(LoadError, match="model.nc: expected a saved HMM, got ProbabilisticPCA"):
        HMM.load(path)
    storage.save(fitted.params_, tmp_path / "params.nc")
    with pytest.raises(LoadError, match="params.nc: expected a saved ProbabilisticPCA, got anoth"):
        ProbabilisticPCA.load(tmp_path / "params.nc")


def test_what_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    model = ProbabilisticPCA(1).fit(np.random.default_rng(0).normal(size=(50, 4)))
    model._odd = print
    with pytest.raises(SchemaError, match="model: expected numbers, texts, .* got builtin_functi"):
        model.save(tmp_path / "model.nc")


@pytest.mark.parametrize("name", ["os:system", "neuroalign.latents._base:LatentModel"])
def test_a_file_that_names_other_objects_is_refused(fitted: Any, name: str, tmp_path: Path) -> None:
    whole = storage.load(fitted.save(tmp_path / "model.nc"))
    tree = json.loads(whole.attrs["state"])
    tree["rest"]["dict"]["_labels"]["object"] = name
    whole.attrs["state"] = json.dumps(tree)
    storage.save(whole, tmp_path / "bad.nc")
    with pytest.raises(LoadError, match=f"state: expected records of neuroalign.*got '{name}'"):
        ProbabilisticPCA.load(tmp_path / "bad.nc")


def test_storage_tells_how_a_model_is_saved(fitted: Any, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="got ProbabilisticPCA, a model. Use its own save"):
        storage.save(fitted, tmp_path / "model.nc")
