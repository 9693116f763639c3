"""What a study may call: public names of rooms, their options, and nothing else."""

import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import numpy as np
import pytest

from neuroalign import (
    align,
    ceilings,
    decoders,
    encoders,
    evaluate,
    geometry,
    loaders,
    rsa,
    storage,
)
from neuroalign.encoders import readouts
from neuroalign.errors import SchemaError
from neuroalign.study import calls, pieces
from neuroalign.study.calls import KEPT, PARTS, SECTIONS, check_part, read_nothing
from neuroalign.study.pieces import chain

NOTHING: dict[str, Any] = {}
LOOK_UP = NOTHING.__getitem__


def test_public_names_are_found_also_in_rooms_of_rooms() -> None:
    assert calls.find("evaluate.cross_validate", ("evaluate",), "x") is evaluate.cross_validate
    found = calls.find("encoders.readouts.GaussianReadout", ("encoders",), "x")
    assert found is readouts.GaussianReadout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("os.system", "x: expected a function of evaluate, got 'os.system'"),
        ("evaluate", "expected a function of evaluate, got 'evaluate'"),
        ("evaluate.cross_valdate", "Did you mean 'cross_validate'"),
        ("evaluate.np.save", "expected a public name of 'evaluate', got 'evaluate.np.save'"),
        ("evaluate.__builtins__", "expected a public name"),
        ("evalute.cross_validate", "Did you mean 'evaluate'"),
    ],
)
def test_nothing_else_is_reached(name: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        calls.find(name, ("evaluate",), "x")


def test_options_are_held_against_the_signature() -> None:
    with pytest.raises(SchemaError, match="got 'alpha'. Did you mean 'alphas'"):
        calls.check_options(encoders.Ridge, {"alpha": 1}, "x")
    with pytest.raises(SchemaError, match="missing encoder, features, responses"):
        calls.check_options(evaluate.cross_validate, {}, "x")
    calls.check_options(encoders.Ridge, {"alphas": 1}, "x")


def test_objects_inside_options_are_checked_where_they_stand() -> None:
    inside = {"steps": [{"use": "encoders.Ridge", "alpha": 1}]}
    with pytest.raises(SchemaError, match=r"x.steps\[0\]: expected options of Ridge"):
        calls.check_objects(inside, "x")
    with pytest.raises(SchemaError, match="expected a function of encoders, .*got 'report.show'"):
        calls.check_objects({"use": "report.show"}, "x")


def test_options_are_built_from_references_files_and_objects(tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        (tmp_path / name).touch()
    options = {
        "features": "@net.layer1",
        "encoder": {"use": "encoders.Ridge", "alphas": [1.0, 2.0]},
        "one": {"path": "a.png"},
        "many": {"glob": "*.png"},
        "stimuli": {"stimuli": "*.png"},
        "plain": {"path": "a.png", "and": 1},
    }
    made = calls.build(options, {"net.layer1": 7}.__getitem__, tmp_path)
    assert (made["features"], made["encoder"].alphas) == (7, [1.0, 2.0])
    assert made["one"] == tmp_path / "a.png"
    assert made["many"] == [tmp_path / "a.png", tmp_path / "b.png"]
    assert made["stimuli"] == {"a": tmp_path / "a.png", "b": tmp_path / "b.png"}
    assert made["plain"] == {"path": "a.png", "and": 1}
    assert calls.list_references(options) == ["net.layer1"]


def test_files_that_are_not_there_are_named_with_what_is_near(tmp_path: Path) -> None:
    (tmp_path / "bold.nii.gz").touch()
    with pytest.raises(FileNotFoundError, match=r"x: .*'blod.nii.gz'.*Did you mean 'bold.nii.gz'"):
        calls.find_files({"path": "blod.nii.gz"}, tmp_path, "x")


def test_text_stands_only_where_text_may_stand(tmp_path: Path) -> None:
    (tmp_path / "events.tsv").touch()
    (tmp_path / "stimulus").touch()
    for options, message in [
        ({"mask": "mask.nii"}, r"x.mask: expected \{path: 'mask.nii'\}"),
        ({"bold": ["@run", "bold.nii"]}, "x.bold: .*got the plain text 'bold.nii'"),
        ({"events": "events.tsv"}, "x.events: .*a changed file is seen"),
        ({"detrend": "no"}, "x.detrend: expected true or false, got the text 'no'"),
        ({"tr": "2s"}, "x.tr: expected a number, got the text '2s'. Give a number"),
        ({"tr": "2.0"}, "x.tr: expected a number, got the text '2.0'. Take quotes away"),
    ]:
        with pytest.raises(SchemaError, match=message):
            calls.check_values(loaders.load_fmri, options, tmp_path, "x")
    fine = {"bold": "@run", "mask": {"path": "mask.nii"}, "tr": 2, "standardize": "zscore"}
    calls.check_values(loaders.load_fmri, fine, tmp_path, "x")
    # The name of a coord, and a folder too large to be hashed.
    calls.check_values(decoders.decode_classes, {"target": "stimulus"}, tmp_path, "x")
    calls.check_values(storage.load, {"path": str(tmp_path)}, tmp_path, "x")
    inside = {"encoder": {"use": "encoders.Ridge", "fit_intercept": "no"}}
    with pytest.raises(SchemaError, match="x.encoder.fit_intercept: expected true or false"):
        calls.check_objects(inside, "x", tmp_path)


def test_pieces_of_studies_are_found_in_their_sections() -> None:
    assert calls.find("study.chain", calls.OBJECTS, "x") is pieces.chain
    assert calls.find("storage.load", ("storage",), "x") is storage.load
    with pytest.raises(SchemaError, match="expected a function of rsa, got 'study.chain'"):
        calls.find("study.chain", calls.SECTIONS["rsa"], "x")
    with pytest.raises(SchemaError, match="Did you mean 'fit_latents'"):
        calls.find("study.fit_latent", ("study",), "x")
    # Of what is public in Python, a study calls the pieces alone.
    with pytest.raises(SchemaError, match="expected a public name of 'study', got"):
        calls.find("study.run_study", ("study",), "x")
    assert calls.find("study.select_samples", calls.SECTIONS["data"], "x") is pieces.select_samples
    for name in calls.DIRECT:
        assert callable(calls.find(name, (name.partition(".")[0],), "x"))


def test_checkpoints_are_files_and_the_network_that_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (10, 2):
        (tmp_path / f"step-{step}.pt").touch()
    monkeypatch.setattr(
        "neuroalign.convergence.list_checkpoints",
        lambda files, model, **more: ([path.name for path in files], model, more),
    )
    value = {"checkpoints": "*.pt", "model": {"use": "encoders.Ridge", "alphas": 2.0}}
    files, model, more = calls.build(value, LOOK_UP, tmp_path)
    assert (files, model.alphas, more) == (["step-10.pt", "step-2.pt"], 2.0, {})
    assert calls.build({**value, "pattern": "x"}, LOOK_UP, tmp_path)[2] == {"pattern": "x"}
    assert len(calls.find_files(value, tmp_path, "x")) == 2
    with pytest.raises(SchemaError, match=r"x.c.model: expected options of Ridge, got 'alpha'"):
        calls.check_objects({"c": {**value, "model": {"use": "encoders.Ridge", "alpha": 1}}}, "x")
    with pytest.raises(SchemaError, match="say which network takes them"):
        calls.find_files({"checkpoints": "*.pt"}, tmp_path, "x")


def list_public(thing: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every public function and class of a room, with its dotted name."""
    for name in getattr(thing, "__all__", []):
        found = getattr(thing, name)
        if inspect.ismodule(found):
            yield from list_public(found, f"{place}.{name}")
        elif callable(found):
            yield f"{place}.{name}", found


def test_words_for_null_are_kept_only_where_they_are_rows_of_tables() -> None:
    rooms = sorted({room for named in SECTIONS.values() for room in named} - {"storage", "study"})
    kept = []
    for room in rooms:
        for _, one in list_public(import_module(f"neuroalign.{room}"), room):
            text = inspect.getdoc(one) or ""
            for name, parameter in inspect.signature(one).parameters.items():
                row = re.search(rf'^{name} : \{{.*"none".*\}}', text, re.MULTILINE)
                if row and NoneType in get_args(parameter.annotation):
                    kept.append(f"{one.__name__}.{name}")
    assert sorted(set(kept)) == sorted(KEPT)


def test_words_for_null_are_read_where_null_may_stand() -> None:
    read = read_nothing(rsa.infer, {"bootstrap": "none", "cross_validate": "none", "data": "@x"})
    assert read == {"bootstrap": "none", "cross_validate": "none", "data": "@x"}
    read = read_nothing(rsa.compute_rdm, {"noise": "none", "fold": "None", "distance": "none"})
    assert read == {"noise": None, "fold": None, "distance": "none"}
    assert read_nothing(geometry.find_gradients, {"affinity": "none"}) == {"affinity": "none"}
    chained = {"steps": [{"use": "latents.GPFA", "scale": "none", "timescale": "none"}]}
    made = read_nothing(chain, chained)["steps"][0]
    assert made == {"use": "latents.GPFA", "scale": "none", "timescale": None}
    assert read_nothing(chain, {"steps": {"use": "gone", "x": "none"}})["steps"]["x"] == "none"


def test_parts_of_calls_are_what_they_give() -> None:
    made = loaders.simulate_linear(n_samples=24, n_neuroids=3)
    values = np.random.default_rng(0).normal(size=(24, 3))
    responses = loaders.from_arrays(values, modality="fmri", stimulus=[*"abcdef"] * 4)
    given = {"align.match": align.match(made.features, made.responses)}
    given |= {"loaders.simulate_linear": made}
    given |= {
        name: getattr(ceilings, name.partition(".")[2])(responses)
        for name in PARTS
        if name.startswith("ceilings.")
    }
    assert {name: set(one.data_vars) for name, one in given.items()} == {
        name: set(parts) for name, parts in PARTS.items()
    }


def test_misspelt_parts_are_refused_and_coords_are_not() -> None:
    for part in ("features", "stimulus", "my_label"):
        check_part("align.match", f"m.{part}", "here")
    check_part("align.match", "m", "here")
    check_part("align.average_repeats", "m.feature", "here")
    with pytest.raises(SchemaError, match="here: .* got '@m.response'. Did you mean 'responses'"):
        check_part("align.match", "m.response", "here")


def test_functions_may_be_asked_for() -> None:
    def call(make: Callable[[int], int]) -> None:
        """Take a function."""

    calls.check_values(call, {"make": "x"}, Path(), "here")
