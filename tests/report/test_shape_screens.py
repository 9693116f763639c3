"""Every result of topology and geometry reaches the page with its figure and its sentence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neuroalign import geometry, report, rsa, schema, similarity, topology
from neuroalign.loaders import from_arrays
from neuroalign.report._blocks import Note, Picture
from neuroalign.report.screens import show_estimate
from neuroalign.report.shape_screens import list_shape_parts
from neuroalign.report.verdicts import state_verdict


def make_ring() -> xr.DataArray:
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    points = np.column_stack([np.cos(angle), np.sin(angle)])
    return xr.DataArray(points, {"truth": ("sample", angle)}, ("sample", "neuroid"))


def make_persistence() -> xr.Dataset:
    return topology.compute_persistence(make_ring())


def make_angles() -> xr.Dataset:
    return topology.find_circular_coordinates(make_ring())


def make_sources() -> xr.Dataset:
    first, second = np.triu_indices(8, 1)
    names = np.array(list("abcdefgh"))
    values = np.random.default_rng(0).uniform(size=(4, 2, 28))
    coords = {"first": ("pair", names[first]), "second": ("pair", names[second])}
    attrs = {"kind": "dissimilarity"}
    rdms = xr.DataArray(values, coords, ("subject", "roi", "pair"), attrs=attrs)
    return topology.select_source(rdms, step=0.5, n_bootstrap=5)


def make_spectrum() -> xr.Dataset:
    X = np.random.default_rng(0).normal(size=(100, 10))
    return geometry.describe_spectrum(X, ranks=(1, 8))


def make_dichotomies() -> xr.Dataset:
    X = np.random.default_rng(0).normal(size=(40, 6)) + np.repeat(np.eye(4, 6) * 9, 10, axis=0)
    return geometry.describe_dichotomies(X, conditions=np.repeat(list("abcd"), 10), n_null=5)


def make_steps() -> xr.Dataset:
    return geometry.compare_steps(np.random.default_rng(0).normal(size=(6, 20, 5)))


def make_segments() -> xr.Dataset:
    return geometry.segment_steps(make_steps(), n_surrogates=9)


def make_course() -> xr.Dataset:
    X = np.random.default_rng(0).normal(size=(30, 5))
    return geometry.trace_alignment({0: X, 1: X**2, 2: X**3})


def make_phases() -> xr.Dataset:
    return geometry.label_phases(range(8), [50, 40, 30, 60, 90, 120, 100, 80], window=1)


CASES: list[tuple[Callable[[], xr.Dataset], str, str]] = [
    (make_persistence, "Persistence", "30 points: H0 has 29 bars that die"),
    (make_angles, "Circular coordinates", "1 circular coordinate of 30 samples"),
    (make_sources, "Thresholds", "Sources found with nested thresholds in "),
    (make_spectrum, "Spectrum", "spectrum: alpha "),
    (make_dichotomies, "Dichotomies", "3 dichotomies of 4 conditions"),
    (make_steps, "Steps", "compare_steps: dissimilarity "),
    (make_segments, "Steps", " phases of 6 layers"),
    (make_course, "Learning curves", "3 checkpoints: alignment with the first falls to "),
    (make_phases, "Learning curves", "Phases: warmup from 0 to 2, entropy-seeking from 2 to 5"),
]


@pytest.mark.parametrize(("make", "title", "said"), CASES)
def test_a_result_has_its_figure_and_its_sentence(
    make: Callable[[], xr.Dataset], title: str, said: str
) -> None:
    result = make()
    blocks = show_estimate(result)
    pictures = [block for block in blocks if isinstance(block, Picture)]
    assert [picture.title for picture in pictures] == [title]
    assert not any(isinstance(block, Note) for block in blocks)
    assert said in state_verdict(result)
    assert said in repr(report.show(result))
    assert str(result.attrs["headline"]) in result


def test_a_page_holds_them_all(tmp_path: Path) -> None:
    results = {title: make() for make, title, _ in CASES}
    page = report.write_html(results, tmp_path / "shapes.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == len(results)


def test_a_stack_of_diagrams_has_a_figure_each() -> None:
    stack = xr.DataArray(
        np.random.default_rng(0).uniform(1, 2, (6, 10)), dims=("subject", "pair"),
        coords={
            "subject": list("uvwxyz"),
            "first": ("pair", [a for n, a in enumerate("abcde") for _ in range(4 - n)]),
            "second": ("pair", list("bcdecdedee")),
        },
        attrs={"kind": "dissimilarity", "distance": "euclidean"},
    )  # fmt: skip
    result = topology.compute_persistence(stack)
    titles = [title for title, _ in list_shape_parts(result)]
    each = [f"Persistence, subject {name}" for name in "uvwx"]
    assert titles == [*each, "Distances of diagrams"]
    assert state_verdict(result).startswith("6 diagrams over subject, of ")


def test_other_estimates_have_none() -> None:
    attrs = {"kind": "estimate", "method": "bootstrap interval"}
    assert list_shape_parts(xr.Dataset({"estimate": 1.0}, attrs=attrs)) == []


def test_a_figure_that_cannot_be_drawn_becomes_a_note() -> None:
    broken = make_spectrum().drop_vars("alpha")
    notes = [block.text for block in show_estimate(broken) if isinstance(block, Note)]
    assert any(note.startswith("Spectrum left out. result: expected") for note in notes)


def measure_rest() -> dict[str, xr.Dataset]:
    """Results without a figure of their own, by what they measure."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(2, 48, 8))
    names = np.tile(["a0", "a1", "b0", "b1"], 12)
    code = X + 4 * np.stack(
        [np.char.startswith(names, "a"), np.char.endswith(names, "1")], 1
    ).repeat(4, 1)
    feature = {"side": names.astype("<U1")}
    nine = list("abcdefghi")
    rdms = [
        rsa.compute_rdm(from_arrays(one[:9], modality="model", stimulus=nine)) for one in (X, Y)
    ]
    loop = make_persistence()
    subjects = {
        name: from_arrays(
            X + rng.normal(size=X.shape), modality="fmri", stimulus=list(map(str, range(48)))
        )
        for name in "uvw"
    }
    return {
        "gradients": geometry.find_gradients(np.corrcoef(X), sparsity=0.2),
        "generalisation": geometry.generalize_across_conditions(
            code, ["a0", "a1"], conditions=names, n_null=5
        ),
        "parallelism": geometry.parallelism_score(code, ["a0", "a1"], conditions=names),
        "dimension": geometry.estimate_dimension(X, n_bootstrap=5),
        "shares": geometry.explain_variance(code, feature, n_bootstrap=5),
        "dynamics": geometry.trace_dynamics(np.stack([X, Y])),
        "modes": geometry.estimate_modes(X, Y),
        "weights": geometry.compare_weights({"w": X}, {"w": Y}),
        "repeats": geometry.cross_validate_spectrum(np.stack([code, code + 0.1 * Y]), ranks=(1, 5)),
        "subsamples": geometry.subsample_spectrum(X, ranks=(1, 5)),
        "spectra": geometry.trace_spectra({0: X, 1: Y}, ranks=(1, 5)),
        "return": geometry.trace_perturbation(np.stack([X, Y]), np.stack([X + 0.1, Y])),
        "audit": geometry.audit_similarity(code, Y, feature, n_bootstrap=5, n_halves=5),
        "summaries": topology.summarize_diagrams(loop),
        "angles": topology.score_angles(X[:, 0], Y[:, 0]),
        "adaptive": topology.adaptive_similarity(*rdms, n_permutations=9),
        "divergence": topology.compute_divergence(X, Y),
        "null": topology.assess_topology(X, n_nulls=3),
        "layers": similarity.compare({"a": X, "b": Y}),
        "subjects": similarity.correlate_subjects(subjects, n_bootstrap=5, n_permutations=5),
        "connectivity": similarity.connect_subjects(subjects),
    }


@pytest.mark.filterwarnings("ignore::neuroalign.errors.NeuroalignWarning")
def test_every_other_result_says_what_matters_in_it() -> None:
    for name, result in measure_rest().items():
        schema.check(result)
        assert result.attrs["headline"] in result, name
        said = state_verdict(result)
        assert said.endswith((".", "here")) or "meaning" in result.attrs, name
        assert "nan" not in said, f"{name}: {said}"
