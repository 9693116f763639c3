"""Cards and checks say what results carry, and no more."""

import json

import numpy as np
import pytest
import xarray as xr

from neuroalign.encoders import Ridge
from neuroalign.evaluate import cross_validate
from neuroalign.loaders import simulate_linear
from neuroalign.report.overview import SIGNS, make_cards, run_checks
from tests.report.coarse import make_coarse


def check(result: xr.Dataset | xr.DataArray) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {one.title: (one.state, one.lines) for one in run_checks({"a": result})}


@pytest.fixture(scope="module")
def computed() -> xr.Dataset:
    data = simulate_linear(n_neuroids=4, snr=2.0)
    return cross_validate(
        Ridge(), data.features, data.responses, n_permutations=20, seed=7, progress=False
    )


def test_cards_name_what_a_real_result_says(computed: xr.Dataset) -> None:
    cards = {card.title: card.lines for card in make_cards({"a": computed})}
    assert cards["Model and method"][0].startswith("Ridge(")
    assert cards["Cross-validation"] == ("4 folds, no run divided",)
    assert cards["Null"] == ("20 permutations (block), least p 0.048",)
    assert f"{computed.attrs['n_samples']} samples, 4 neuroids" in cards["Data"][-1]


def test_checks_of_a_real_result(computed: xr.Dataset) -> None:
    found = check(computed)
    assert found["Labels matched"] == ("good", ("rows agree on stimulus",))
    assert found["Finite scores"] == ("good", ("4 of 4 neuroids have a finite score",))
    assert found["Null"][0] == "good"
    assert found["Seed"] == ("good", ("seed 7",))
    assert found["Inputs hashed"] == ("good", ("hashes of 2 inputs",))


def test_what_a_result_does_not_say_is_unknown(computed: xr.Dataset) -> None:
    bare = computed.copy()
    bare.attrs = {"kind": "encoding", "metric": "pearson"}
    found = check(bare)
    for title in ("Labels matched", "Seed"):
        assert found[title][0] == "unknown", title
    assert not {"Null", "Samples kept", "Inputs hashed"} & set(found)
    told = computed.assign_attrs(history="loaded")
    both = {one.title: one for one in run_checks({"a": told, "b": bare})}
    assert both["Inputs hashed"].state == both["Samples kept"].state == "unknown"


def test_what_is_made_of_other_results_needs_no_hashes_of_its_own(computed: xr.Dataset) -> None:
    made = xr.Dataset({"difference": 1.0}, attrs={"kind": "estimate", "method": "m"})
    told = computed.assign_attrs(history="loaded")
    found = {one.title: one.state for one in run_checks({"a": told, "b": made})}
    assert found["Inputs hashed"] == found["Samples kept"] == "good"


def test_a_ceiling_names_its_units(encoding: xr.Dataset) -> None:
    cards = {card.title: card.lines for card in make_cards({"a": encoding})}
    assert cards["Noise ceiling"] == ("median 0.640 of the variance (r 0.800), 40 values",)
    plain = {
        card.title: card.lines for card in make_cards({"a": encoding.assign_attrs(metric="r2")})
    }
    assert plain["Noise ceiling"] == ("median 0.640 of the variance, 40 values",)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            "Pipeline(steps=[('a', PrincipalComponents(n_components=100)), ('ridge', Ridge())])",
            "PrincipalComponents(n_components=100), then Ridge()",
        ),
        ("Pipeline(steps=[('a', Pipeline(steps=[('b', A()), ('c', B())])), ('d', C())])",
         "A(), then B(), then C()"),
        ("Pipeline(steps=[('a', <cut", "Pipeline(steps=[('a', <cut"),
        ("Pipeline(steps=x)", "Pipeline(steps=x)"),
        ("SmallConvNet", "SmallConvNet"),
    ],
)  # fmt: skip
def test_a_pipeline_is_named_by_its_steps(encoding: xr.Dataset, model: str, said: str) -> None:
    cards = {
        card.title: card.lines for card in make_cards({"a": encoding.assign_attrs(model=model)})
    }
    assert cards["Model and method"] == (said,)


def test_threads_and_commit_stand_only_where_some_result_says_them(encoding: xr.Dataset) -> None:
    assert not {"BLAS threads", "Code version"} & set(check(encoding))
    record = json.dumps({"threads": 4, "git": {"commit": "abc"}})
    told = encoding.assign_attrs(provenance=record)
    assert check(told)["BLAS threads"] == ("good", ("4",))
    assert check(told)["Code version"] == ("good", ("abc",))
    found = {one.title: one for one in run_checks({"a": told, "b": encoding})}
    assert found["Code version"].lines == ("the result names no commit (b)",)


def test_what_is_wrong_is_seen(encoding: xr.Dataset) -> None:
    encoding["score"][:, :5] = np.nan
    record = json.dumps(
        {"parameters": {"allow_shared_stimuli": True}, "git": {"commit": "abc", "dirty": True}}
    )
    attrs = {"provenance": record, "history": "match: dropped 3 samples", "n_permutations": 0}
    found = check(encoding.drop_vars("ceiling").assign_attrs(attrs))
    assert {title for title, (state, _) in found.items() if state == "look"} == {
        "Labels matched", "Samples kept", "Finite scores", "Noise ceiling", "Null", "Code version",
    }  # fmt: skip
    assert found["Finite scores"][1] == ("35 of 40 neuroids have a finite score",)
    assert found["Samples kept"][1] == ("match: dropped 3 samples",)


def test_no_finite_score_at_all_is_a_problem(encoding: xr.Dataset) -> None:
    assert check(encoding.assign(score=encoding["score"] * np.nan))["Finite scores"][0] == "bad"


def test_the_worst_result_gives_the_light_and_is_named(encoding: xr.Dataset) -> None:
    bare = encoding.drop_vars("ceiling")
    (found,) = [
        one for one in run_checks({"a": encoding, "b": bare}) if one.title == "Noise ceiling"
    ]
    assert found.state == "look"
    assert found.lines == ("none: scores cannot be held against what is predictable (b)",)
    assert (found.sign, found.word) == ("!", "look")


def test_each_state_has_its_own_sign_and_word() -> None:
    assert len(set(SIGNS.values())) == len(SIGNS) == 4


def test_lines_that_all_results_share_stand_once(encoding: xr.Dataset) -> None:
    cards = {card.title: card.lines for card in make_cards({"a": encoding, "b": encoding})}
    assert cards["Cross-validation"] == ("3 folds",)
    many = {f"r{n}": encoding.assign_attrs(model=f"M{n}()") for n in range(7)}
    lines = {card.title: card.lines for card in make_cards(many)}["Model and method"]
    assert (lines[0], lines[-1], len(lines)) == ("M0() (r0)", "and 3 more", 5)


@pytest.mark.parametrize("odd", ["x", [1, 2], None, 3, {"on": {"a": 1}, "gap": "x", "seed": []}])
def test_odd_parameters_do_no_harm(encoding: xr.Dataset, odd: object) -> None:
    result = encoding.assign_attrs(
        provenance=json.dumps({"parameters": odd, "inputs": odd, "git": odd}),
        n_samples="many", gap="wide", n_permutations="none", group="<b>",
    )  # fmt: skip
    assert run_checks({"a": result})
    assert make_cards({"a": result})


def test_permutations_that_let_no_test_pass_are_looked_at(timed: xr.Dataset) -> None:
    state, lines = check(make_coarse(timed))["Null"]
    said = "q cannot fall below 0.12 with 99 permutations and 240 tests; take 500"
    assert (state, lines) == ("look", (said,))
    assert check(make_coarse(timed, 120))["Null"][0] == "good"


def test_a_given_ceiling_and_single_bounds_are_told_in_words(
    encoding: xr.Dataset, models: xr.Dataset
) -> None:
    cards = {card.title: card.lines for card in make_cards({"a": models})}
    assert cards["Noise ceiling"] == ("lower bound 0.600", "upper bound 0.700")
    record = json.dumps({"parameters": {"ceiling": "Dataset"}})
    given = encoding.assign_attrs(provenance=record, ceiling_method="split_half")
    cards = {card.title: card.lines for card in make_cards({"a": given})}
    assert cards["Noise ceiling"][0].endswith("40 values, given (split_half)")
    told = models.assign_attrs(metric="whitened_cosine", method="RSA (whitened_cosine)")
    cards = {card.title: card.lines for card in make_cards({"a": told})}
    assert cards["Score"] == ("whitened cosine",)
    assert cards["Model and method"][-1] == "RSA (whitened cosine)"
