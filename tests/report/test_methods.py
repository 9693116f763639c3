"""The paragraph of methods says what results say, and names what it has no words for."""

import json
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import neuroalign
from neuroalign import rsa
from neuroalign.encoders import Ridge
from neuroalign.evaluate import cross_validate
from neuroalign.loaders import simulate_linear
from neuroalign.report import _method_table as table
from neuroalign.report.methods import WRITERS, Methods, describe_methods
from neuroalign.report.screens import SCREENS
from neuroalign.schema import CHECKS
from neuroalign.similarity import compare


def describe(result: xr.Dataset | xr.DataArray) -> Methods:
    return describe_methods({"a": result})


def estimate(method: str, **attrs: object) -> xr.Dataset:
    return xr.Dataset({"x": 1.0}, attrs={"kind": "estimate", "method": method, **attrs})


def test_a_real_encoding_is_described_from_what_it_carries() -> None:
    data = simulate_linear(n_neuroids=4, snr=2.0)
    result = cross_validate(
        Ridge(), data.features, data.responses, n_permutations=20, progress=False
    )
    found = describe(result)
    text = found.sentences[0]
    n = result.attrs["n_samples"]
    for part in (
        f"Responses of 4 neuroids were predicted from {n} samples by ridge regression (Hoerl & ",
        "Scores come from 4 folds that never divided a run.",
        "The score is the Pearson correlation between predicted and observed responses.",
        "p values come from 20 permutations of whole stimuli (Phipson & Smyth, 2010).",
        "q values control the false discovery rate (Benjamini & Hochberg, 1995).",
        "Family-wise error is controlled by the maximum statistic (Nichols & Holmes, 2002).",
    ):
        assert part in text
    assert found.unknown == ()
    assert found.sentences[1].startswith("Computed with ")
    assert f"numpy {np.__version__} (Harris et al., 2020)" in found.sentences[1]
    assert "@article{hoerl1970," in found.bibtex
    assert any("doi:10.1080/00401706.1970.10488634" in line for line in found.references)


def test_nothing_is_said_that_the_result_does_not_say(encoding: xr.Dataset) -> None:
    bare = encoding.drop_vars(["ceiling", "p_value", "q_value"])
    bare.attrs = {"kind": "encoding", "model": "Ridge()"}
    found = describe(bare)
    assert found.sentences == (
        "Responses of 40 neuroids were predicted by ridge regression (Hoerl & Kennard, 1970). "
        "Scores come from 3 folds.",
    )
    for word in ("permutation", "ceiling", "false discovery", "Computed"):
        assert word not in "".join(found.sentences)


def test_groups_gaps_and_repeats_are_told(encoding: xr.Dataset) -> None:
    told = encoding.assign_attrs(group="run", gap=4.0, n_repeats=3)
    expected = (
        "Scores come from 3 folds that never divided a run, with training rows within 4 s of a "
        "test row left out, dealt 3 times."
    )
    assert expected in describe(told).sentences[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [("split_half", "(Spearman, 1910; Brown, 1910)"), ("DataArray", "computed beforehand")],
)
def test_ceilings_are_told_by_their_provenance(encoding: xr.Dataset, given: str, said: str) -> None:
    record = json.dumps({"parameters": {"ceiling": given}})
    assert said in describe(encoding.assign_attrs(provenance=record)).sentences[0]


def test_a_given_ceiling_is_told_by_the_history_where_that_tells(encoding: xr.Dataset) -> None:
    given = encoding.assign_attrs(provenance=json.dumps({"parameters": {"ceiling": "DataArray"}}))
    assert "was computed beforehand and given." in describe(given).sentences[0]
    told = "(Spearman, 1910; Brown, 1910); it was computed beforehand."
    named = given.assign_attrs(history="responses: loaded\nceiling: split_half")
    assert told in describe(named).sentences[0]
    given["ceiling"].attrs["method"] = "split_half"
    assert told in describe(given).sentences[0]


def test_pipelines_are_described_step_by_step(encoding: xr.Dataset) -> None:
    model = "Pipeline(steps=[('a', PrincipalComponents(100)), ('b', BandedRidge(alpha=1))])"
    text = describe(encoding.assign_attrs(model=model)).sentences[0]
    assert "principal components of the training rows, then banded ridge regression (Nu" in text


def test_what_has_no_words_is_named_not_invented(encoding: xr.Dataset) -> None:
    found = describe(encoding.assign_attrs(model="MyNet(3)", metric="my score", provenance="{}"))
    assert "encoder 'MyNet' (in a)" in found.unknown
    assert "metric 'my score' (in a)" in found.unknown
    assert "a ceiling whose method is not named (in a)" in found.unknown
    assert "predicted" not in found.sentences[0]
    assert describe(estimate("my method")).unknown == ("method 'my method' (in a)",)
    assert describe(estimate("my method")).sentences == ()


def test_results_made_alike_share_a_paragraph(encoding: xr.Dataset, rdm: xr.DataArray) -> None:
    found = describe_methods({"a": encoding, "b": encoding, "c": rdm})
    assert [line.split(":")[0] for line in found.sentences[:2]] == ["a, b", "c"]
    assert found.sentences[1] == "c: Dissimilarities are Euclidean distances."


def test_a_real_inference_is_described(rng: np.random.Generator) -> None:
    people = rsa.stack_rdms(
        {f"s{n}": rsa.from_matrix(rng.random(10), list("abcde")) for n in range(4)}
    )
    model = {"m": rsa.from_matrix(rng.random(10), list("abcde"))}
    result = rsa.infer(model, people, method="rho_a", bootstrap="subjects", n_bootstrap=50)
    text = describe(result).sentences[0]
    assert "RDMs were compared by the rank correlation rho-a (Schütt et al., 2023)." in text
    assert "Uncertainty comes from 50 bootstrap resamples of subjects." in text
    assert "Inference is to new subjects, for these stimuli." in text


def test_a_real_comparison_is_described(rng: np.random.Generator) -> None:
    one, two = rng.random((2, 20, 5))
    found = describe(compare({"x": one}, {"y": two}, method="cka", n_permutations=20))
    assert "compared by centred kernel alignment (Kornblith et al., 2019)." in found.sentences[0]


def test_brackets_behind_a_method_say_how_rdms_were_compared() -> None:
    text = describe(estimate("fusion (tau_a)")).sentences[0]
    assert text.endswith("Hebart et al., 2018), by the rank correlation tau-a (Nili et al., 2014).")
    assert "GPFA" not in describe(estimate("GPFA")).sentences[0]
    assert (
        "Gaussian-process factor analysis (Yu et al., 2009)"
        in describe(estimate("GPFA")).sentences[0]
    )


def test_the_paper_of_a_correction_is_cited_only_where_it_is_known(encoding: xr.Dataset) -> None:
    for attrs, cited in (
        ({"provenance": "{}"}, "rate."),
        ({"fdr_method": "by"}, "rate (Benjamini & Yekutieli, 2001)."),
        ({"provenance": '{"versions": {"neuroalign": "0.1"}}'}, "rate (Benjamini & Hochberg, 19"),
    ):
        assert f"false discovery {cited}" in describe(encoding.assign_attrs(attrs)).sentences[0]


def test_latents_and_states_are_told_by_their_model(encoding: xr.Dataset) -> None:
    path = xr.DataArray(np.zeros((2, 3)), dims=("sample", "time"), attrs={"kind": "states"})
    assert describe(path.assign_attrs(method="HMM")).sentences[0].startswith("States come from a h")
    assert describe(path).unknown == ("latents whose model is not named (in a)",)


def test_every_kind_of_the_schema_has_a_writer() -> None:
    assert set(WRITERS) == set(SCREENS)
    assert set(SCREENS) <= set(CHECKS)


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ("METRICS", "neuroalign.scores.METRICS"),
        ("CEILINGS", "neuroalign.ceilings.CEILINGS"),
        ("DISTANCES", "neuroalign.rsa.distances.DISTANCES"),
        ("COMPARISONS", "neuroalign.rsa.comparisons.COMPARISONS"),
        ("SIMILARITIES", "neuroalign.similarity.comparison.SIMILARITIES"),
    ],
)
def test_rows_are_options_that_exist(rows: str, place: str) -> None:
    module, name = place.rsplit(".", 1)
    assert set(getattr(table, rows)) <= set(getattr(import_module(module), name))


def test_rows_of_classes_are_classes_that_exist() -> None:
    latents, encoders = import_module("neuroalign.latents"), import_module("neuroalign.encoders")
    features = import_module("neuroalign.features")
    assert set(table.LATENTS) <= set(latents.__all__)
    own = set(table.ENCODERS) - {"StandardScaler"}
    assert own <= set(encoders.__all__) | set(features.__all__)


def test_rows_of_estimates_are_names_that_the_code_gives() -> None:
    root = Path(neuroalign.__file__).parent
    files = [path for path in root.rglob("*.py") if path.parent.name != "report"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    # The name of a method may stand with a setting in it, as in leave-one-subject-out.
    odd = {"leave-one-subject-out nearest centroid"}
    assert [key for key in set(table.ESTIMATES) - odd if not re.search(f"[\"']{key}", code)] == []


@pytest.mark.parametrize("provenance", ["", "not json", "[]", '{"versions": 3, "parameters": []}'])
def test_odd_provenance_is_no_obstacle(encoding: xr.Dataset, provenance: str) -> None:
    assert describe(encoding.assign_attrs(provenance=provenance)).sentences


def test_crossnobis_without_noise_is_no_mahalanobis(rdm: xr.DataArray) -> None:
    plain = describe(rdm.assign_attrs(distance="crossnobis", noise="none", fold="run"))
    assert (
        "cross-validated squared Euclidean distances (crossnobis without noise normalisation) "
        "(Walther et al., 2016), folds by run." in plain.sentences[0]
    )
    whitened = describe(rdm.assign_attrs(distance="crossnobis", noise="shrinkage"))
    assert "cross-validated Mahalanobis (crossnobis) distances" in whitened.sentences[0]


def test_permuted_conditions_are_told_where_there_were_any(models: xr.Dataset) -> None:
    said = "tested by 1,000 permutations of condition labels (Phipson & Smyth, 2010)."
    asked = models.assign_attrs(n_permutations=1000)
    assert said not in describe(asked).sentences[0]
    tested = asked.assign(p_permutation=models["p_value"])
    assert said in describe(tested).sentences[0]


def test_a_given_ceiling_is_told_by_the_attrs_of_the_result(encoding: xr.Dataset) -> None:
    record = json.dumps({"parameters": {"ceiling": "Dataset"}})
    attrs = {"ceiling_method": "split_half", "ceiling_n_averaged": 3.9999999}
    text = describe(encoding.assign_attrs(provenance=record, **attrs)).sentences[0]
    assert "corrected for their length (Spearman, 1910; Brown, 1910); it was computed " in text
    assert "beforehand for averages of 4 presentations." in text
    assert describe(encoding.assign_attrs(provenance=record)).unknown == ()


def test_folds_say_what_they_are_made_of(encoding: xr.Dataset) -> None:
    assert "from 3 folds over stimuli." in describe(encoding.assign_attrs(group="")).sentences[0]
    shared = json.dumps({"parameters": {"allow_shared_stimuli": True}})
    dealt = encoding.assign_attrs(group="", provenance=shared)
    assert "from 3 folds over samples." in describe(dealt).sentences[0]
