"""RDM figures keep labels, scale and distances."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr
from sklearn.manifold import smacof

from neuroalign import report
from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Picture
from neuroalign.report._scaling import compute_mds, compute_smacof, compute_stress
from neuroalign.report.matrices import has_lines, rank_pairs, to_panels
from neuroalign.report.screens import show_rdm


def to_pairs(rdm: xr.DataArray) -> xr.DataArray:
    rows, columns = np.triu_indices(rdm.sizes["first"], 1)
    names = rdm["first"].values
    coords = {"first": ("pair", names[rows]), "second": ("pair", names[columns])}
    return xr.DataArray(rdm.values[rows, columns], dims="pair", coords=coords, attrs=rdm.attrs)


def test_condensed_and_square_are_the_same_picture(rdm: xr.DataArray) -> None:
    _, panels, names, _ = to_panels(to_pairs(rdm))
    np.testing.assert_array_equal(panels[0], rdm.values)
    assert names == rdm["first"].values.tolist()


def test_stack_becomes_a_gallery_on_one_scale(rdm: xr.DataArray) -> None:
    stack = xr.concat([rdm, rdm * 3], xr.Variable("subject", ["s1", "s2"]))
    axes = report.plot_rdm(stack.assign_attrs(rdm.attrs)).axes
    assert [one.get_title(loc="left") for one in axes[:2]] == ["subject s1", "subject s2"]
    assert axes[0].images[0].get_clim() == axes[1].images[0].get_clim()


def test_categories_are_separated(rdm: xr.DataArray) -> None:
    lines = report.plot_rdm(rdm).axes[0].lines
    assert sorted({float(line.get_ydata()[0]) for line in lines} - {0.0, 1.0}) == [2.5, 5.5]


def test_scaling_recovers_points_in_a_plane(rdm: xr.DataArray) -> None:
    for scale in (compute_mds, compute_smacof):
        points = scale(rdm.values)
        np.testing.assert_allclose(squareform(pdist(points)), rdm.values, atol=1e-8)
        assert compute_stress(points, rdm.values) == pytest.approx(0.0, abs=1e-8)


def test_metric_scaling_is_that_of_scikit_learn(rng: np.random.Generator) -> None:
    lengths = squareform(pdist(rng.normal(size=(15, 6))))
    start = compute_mds(lengths)
    theirs, misfit = smacof(
        lengths, n_components=2, init=start, n_init=1, max_iter=500, eps=1e-12,
        normalized_stress=False,
    )  # fmt: skip
    ours = compute_smacof(lengths)
    assert ((pdist(ours) - squareform(lengths)) ** 2).sum() == pytest.approx(misfit, rel=1e-5)
    np.testing.assert_allclose(pdist(ours), pdist(theirs), atol=1e-2)
    assert compute_stress(ours, lengths) < compute_stress(start, lengths)


def test_stress_is_written_and_squares_are_rooted(rdm: xr.DataArray) -> None:
    squared = (rdm**2).assign_attrs(rdm.attrs, distance="crossnobis")
    assert "stress-1 0.000" in report.plot_mds(squared).axes[0].get_xlabel()
    classical = report.plot_mds(rdm, method="classical").axes[0].get_xlabel()
    assert classical == "axis 1 (classical scaling, stress-1 0.000)"
    with pytest.raises(ValueError, match="method: expected one of 'metric', 'classical'"):
        report.plot_mds(rdm, method="tsne")


def test_ranks_keep_the_order_and_fill_the_scale(rdm: xr.DataArray) -> None:
    ranks = rank_pairs(rdm.values, diagonal=False)
    upper = np.triu_indices(9, 1)
    assert spearmanr(ranks[upper], rdm.values[upper])[0] == pytest.approx(1.0)
    assert (ranks[upper].min(), ranks[upper].max()) == (0.0, 1.0)
    np.testing.assert_array_equal(ranks, rank_pairs(rdm.values**3, diagonal=False))
    label = report.plot_rdm(rdm, ranks=True).axes[1].get_ylabel()
    assert label == "rank of euclidean (0 to 1)"


def test_pairs_bring_their_categories(rdm: xr.DataArray) -> None:
    rows, columns = np.triu_indices(9, 1)
    names = rdm["first_category"].values
    ends = {"first_category": ("pair", names[rows]), "second_category": ("pair", names[columns])}
    assert to_panels(to_pairs(rdm).assign_coords(ends))[3] == names.tolist()


def test_runs_of_many_conditions_are_named(rng: np.random.Generator) -> None:
    lengths = squareform(pdist(rng.normal(size=(40, 3))))
    names = [f"c{n:02d}" for n in range(40)]
    coords = {"first": names, "second": names, "first_category": ("first", ["a"] * 20 + ["b"] * 20)}
    many = xr.DataArray(lengths, coords, ("first", "second"), attrs={"kind": "dissimilarity"})
    axes = report.plot_rdm(many).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    assert axes.get_yticks().tolist() == [9.5, 29.5]


def test_plane_shows_each_category(rdm: xr.DataArray) -> None:
    axes = report.plot_mds(rdm).axes[0]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["face", "house", "tool"]


def test_messages_name_what_is_missing(rdm: xr.DataArray) -> None:
    with pytest.raises(SchemaError, match="rdm: expected finite dissimilarities"):
        report.plot_rdm((rdm * np.nan).assign_attrs(kind="cross"))
    with pytest.raises(SchemaError, match="expected a complete dissimilarity of at least 3"):
        report.plot_mds(rdm.assign_attrs(kind="cross"))
    with pytest.raises(SchemaError, match="expected coords 'first' and 'second' on 'pair'"):
        report.plot_rdm(to_pairs(rdm).drop_vars("first"))


def test_what_is_left_out_of_a_gallery_is_said_and_zero_keeps_its_colour() -> None:
    rng = np.random.default_rng(0)
    names = [f"c{n}" for n in range(5)]
    values = rng.normal(size=(14, 5, 5))
    values = (values + values.swapaxes(1, 2)) * (1 - np.eye(5))
    stack = xr.DataArray(
        values, {"first": names, "second": names}, ("time", "first", "second"),
        attrs={"kind": "dissimilarity", "distance": "crossnobis"},
    )  # fmt: skip
    figure = report.plot_rdm(stack)
    assert figure.get_suptitle() == "12 of 14 RDMs"
    low, high = figure.axes[0].images[0].get_clim()
    assert low == -high < 0


def test_rdms_joined_in_different_orders_are_named() -> None:
    coords = {
        "first": (("subject", "pair"), [["a", "b"]]),
        "second": (("subject", "pair"), [["c", "d"]]),
    }
    broken = xr.DataArray(
        np.ones((1, 2)), coords, ("subject", "pair"), attrs={"kind": "dissimilarity"}
    )
    with pytest.raises(SchemaError, match="Use rsa.stack_rdms"):
        report.plot_rdm(broken)


def test_few_conditions_are_named_in_a_gallery(rdm: xr.DataArray) -> None:
    stack = xr.concat([rdm] * 6, xr.Variable("subject", list("abcdef")))
    axes = report.plot_rdm(stack.assign_attrs(rdm.attrs)).axes
    names = [
        [
            [text.get_text() for text in labels]
            for labels in (a.get_yticklabels(), a.get_xticklabels())
        ]
        for a in axes[:6]
    ]
    known = rdm["first"].values.tolist()
    assert names[0] == [known, [""] * 9]
    assert names[4] == [known, known]
    assert names[5] == [[""] * 9, known]


def test_lines_are_told_only_where_there_are_any(rdm: xr.DataArray) -> None:
    bare = rdm.drop_vars("first_category")
    for one, lines in ((rdm, True), (bare, False)):
        picture = next(block for block in show_rdm(one) if isinstance(block, Picture))
        assert ("White lines" in picture.caption) is lines
        assert has_lines(one) is lines


def test_categories_differ_in_markers_too(rdm: xr.DataArray) -> None:
    groups = report.plot_mds(rdm).axes[0].collections
    shapes = {tuple(np.round(one.get_paths()[0].vertices.ravel(), 6)) for one in groups}
    assert len(shapes) == 3


def test_a_bar_names_the_distance_in_words(rdm: xr.DataArray) -> None:
    squared = report.plot_rdm(rdm.assign_attrs(distance="squared_euclidean"))
    assert squared.axes[-1].get_ylabel() == "squared euclidean"
