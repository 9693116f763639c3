"""What chance alone would give: null distributions, p values, and how fine they are."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import beta

from neuroalign.errors import SchemaError
from neuroalign.report._blocks import Cell, Table
from neuroalign.report._parts import Part, picture
from neuroalign.report._style import ACCENT, INK, LINE, MUTED, SECOND, new_figure, tidy, write_label
from neuroalign.report._summaries import ALPHA, find_floor, find_least_p, name_measure
from neuroalign.report.figure_data import lay_out, to_cell

Array = npt.NDArray[Any]
MOST_PANELS = 6
# A null (permutation, ...) and what may have been observed over its other dims.
NULLS = {
    "null": ("observed", "balanced_accuracy", "mean_score", "score"),
    "null_statistic": ("statistic",),
    "ccgp_null": ("ccgp",),
}
SCHEMES = {
    "block": "all rows of one stimulus move together",
    "circular": "rows are shifted in time within their run",
}
REFITTED = {1: "the encoder is refitted each time", 0: "each fold is predicted from earlier ones"}


def _find_null(result: xr.Dataset) -> tuple[str, str] | None:
    """Names of the null and of what was observed, when a result holds both."""
    for null, names in NULLS.items():
        if null not in result or "permutation" not in result[null].dims:
            continue
        dims = set(result[null].dims) - {"permutation"}
        for name in names:
            if name in result and set(result[name].dims) == dims and result[null].size:
                return null, name
    return None


def _draw_null(axes: Axes, null: Array, observed: float, p: float, name: str) -> None:
    known = null[np.isfinite(null)]
    edges = np.histogram_bin_edges(np.r_[known, observed], bins=min(40, max(8, len(known) // 8)))
    axes.hist(known, bins=edges.tolist(), color=MUTED, alpha=0.5, label=f"{len(known)} permuted")
    axes.axvline(observed, color=SECOND, linewidth=2, label=f"observed {observed:.3g}")
    step = 1 / (len(null) + 1)
    axes.plot([], [], " ", label=f"p = {p:.3g} in steps of {step:.2g}")
    axes.set_xlabel(write_label(name))
    axes.set_ylabel("permutations")
    axes.yaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    tidy(axes, grid="y")


def plot_null(result: xr.Dataset) -> Figure:
    """Histogram of the scores of permuted data, with the observed one.

    Parameters
    ----------
    result : Dataset
        With a null (permutation[, ...]) and what was observed: ``null`` and ``observed`` or
        ``balanced_accuracy``, ``null_statistic`` and ``statistic``, ``ccgp_null`` and ``ccgp``.
        The first 6 panels are drawn.

    Returns
    -------
    Figure
        With p and its resolution, 1 / (permutations + 1).

    Raises
    ------
    SchemaError
        When it holds no null distribution.

    Notes
    -----
    Where the result holds no ``p_value`` over the same dims, p is (1 + permuted scores that reach
    the observed one) / (1 + permutations): Phipson & Smyth (2010).

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> null = np.random.default_rng(0).normal(size=(99, 1))
    >>> parts = {"observed": ("dimension", [4.0]), "null": (("permutation", "dimension"), null)}
    >>> axes = plot_null(xr.Dataset(parts)).axes[0]
    >>> "p = 0.01 in steps of 0.01" in [text.get_text() for text in axes.get_legend().get_texts()]
    True
    """
    found = _find_null(result)
    if found is None:
        raise SchemaError(
            "result: expected a null over 'permutation' and what was observed, got neither. "
            "Ask for permutations."
        )
    null, observed = result[found[0]], result[found[1]]
    stored = result.get("p_value")
    lead = [str(dim) for dim in observed.dims]
    places = list(np.ndindex(*observed.shape))[:MOST_PANELS]
    figure = new_figure(7.2, 2.5 * len(places))
    panels = np.atleast_1d(np.asarray(figure.subplots(len(places), 1)))
    for where, axes in zip(places, panels, strict=True):
        one = null.transpose("permutation", *lead).values[(slice(None), *where)]
        actual = float(observed.values[where])
        p = float((1 + (one >= actual).sum()) / (1 + len(one)))
        if stored is not None and stored.dims == observed.dims:
            p = float(stored.values[where])
        chosen = ", ".join(
            f"{dim} {observed[dim].values[number] if dim in observed.coords else number}"
            for dim, number in zip(lead, where, strict=True)
        )
        name = name_measure(found[1])
        _draw_null(axes, one, actual, p, f"{name}, {chosen}" if chosen else name)
    return figure


def _get_p(result: xr.Dataset) -> Array:
    if "p_value" not in result:
        raise SchemaError("result: expected 'p_value', got none. Ask for permutations.")
    p = result["p_value"].values.ravel()
    p = np.sort(p[np.isfinite(p)]).astype(np.float64)
    if not len(p):
        raise SchemaError("p_value: expected finite values, got none. Check the scores.")
    return p


def plot_p_values(result: xr.Dataset) -> Figure:
    """Histogram of p values, and their quantiles against those of chance.

    Parameters
    ----------
    result : Dataset
        ``p_value`` (neuroid[, time]); ``attrs['n_permutations']`` gives its resolution.

    Returns
    -------
    Figure
        Left: a histogram; the line is what chance gives. Right: -log10 p, sorted, against its
        expectation under no signal anywhere; band: 95 % of each order statistic of independent
        tests (a beta distribution). Dotted: the smallest p that so many permutations can give.

    Raises
    ------
    SchemaError
        Without finite p values.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> p_value = ("neuroid", np.random.default_rng(0).uniform(0.01, 1, 60))
    >>> result = xr.Dataset({"p_value": p_value}, attrs={"n_permutations": 99})
    >>> len(plot_p_values(result).axes)
    2
    """
    p = _get_p(result)
    n = len(p)
    figure = new_figure(8.6, 3.3)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.05])
    left.hist(p, bins=np.linspace(0, 1, 21).tolist(), color=ACCENT, alpha=0.75)
    left.axhline(n / 20, color=SECOND, linewidth=1.4, linestyle="--", label="no signal anywhere")
    left.set_xlabel("p value")
    left.set_ylabel("tests")
    left.yaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    left.legend(frameon=False, fontsize=8)
    tidy(left, grid="y")
    rank = np.arange(1, n + 1)
    expected = -np.log10((rank - 0.5) / n)
    low, high = (-np.log10(beta.ppf(q, rank, n - rank + 1)) for q in (0.975, 0.025))
    right.fill_between(expected, low, high, color=LINE, linewidth=0, label="95 % of no signal")
    right.plot(expected, expected, color=MUTED, linewidth=0.9)
    kept = np.unique(np.r_[: min(n, 500), np.linspace(0, n - 1, 500).astype(int)])
    positive = kept[p[kept] > 0]
    right.plot(
        expected[positive], -np.log10(p[positive]), "o", color=ACCENT, markersize=3.5, gid="qq"
    )
    permutations = int(result.attrs.get("n_permutations", 0))
    if permutations:
        least = find_least_p(result) or 1 / (permutations + 1)
        right.axhline(
            -np.log10(least), color=INK, linewidth=1, linestyle=":", label=f"p = 1/{1 / least:.0f}"
        )
    right.set_xlabel("expected -log10 p")
    right.set_ylabel("observed -log10 p")
    right.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    tidy(right)
    return figure


def tabulate_null(result: xr.Dataset) -> Table:
    """What was permuted how often, how fine p is, and how many tests pass.

    Parameters
    ----------
    result : Dataset
        ``p_value``, optional ``q_value`` and ``p_fwer``; attrs ``n_permutations``,
        ``permutation_scheme`` or ``scheme``, ``permutation_refit``.

    Returns
    -------
    Table

    Raises
    ------
    SchemaError
        Without finite p values.
    """
    p = _get_p(result)
    attrs, n = result.attrs, len(p)
    rows: list[tuple[Cell, ...]] = []
    permutations = int(attrs.get("n_permutations", 0))
    if permutations:
        rows += [("permutations", permutations)]
        least, drawn = find_least_p(result), 1 / (permutations + 1)
        listed = least is not None and least > drawn
        said = "all sign flips, 2 / flips" if listed else "1 / (permutations + 1)"
        rows += [(f"resolution of p, {said}", to_cell(least or drawn))]
    scheme = str(attrs.get("permutation_scheme", attrs.get("scheme", "")))
    if scheme:
        rows.append(("what is exchanged", f"{scheme}: {SCHEMES.get(scheme, 'not described')}"))
    if attrs.get("permutation_refit") in REFITTED:
        rows.append(("fits", REFITTED[attrs["permutation_refit"]]))
    rows += [("tests", n), ("smallest p", to_cell(p[0]))]
    rows += [("p < 0.05", int((p < ALPHA).sum())), ("expected without signal", to_cell(ALPHA * n))]
    named = {"q_value": "q < 0.05 (false discovery rate)", "p_fwer": "p < 0.05 (max statistic)"}
    for name, said in named.items():
        if name in result:
            rows.append((said, int((result[name].values < ALPHA).sum())))
    floor = find_floor(result)
    if floor is not None:
        rows.append(("smallest q", to_cell(floor.least_q)))
    caption = "Tests of neuroids that share noise are not independent."
    caption += f" No q can pass: {floor}; take {floor.needed:,}." if floor is not None else ""
    return Table("Table of the null", ("what", "value"), tuple(rows), caption)


def list_null_parts(result: xr.Dataset) -> list[Part]:
    """Figures of the nulls that a result holds; none when nothing was permuted.

    Parameters
    ----------
    result : Dataset

    Returns
    -------
    list of (title, function that makes the block)
    """
    parts: list[Part] = []
    found = _find_null(result)
    if found is not None:
        parts.append(
            picture(
                "Null distribution", "Histogram of permuted scores with the observed one.",
                "Grey: the same score of permuted data. p = (1 + permuted scores that reach the "
                "observed one) / (1 + permutations), which is never 0.",
                lambda: plot_null(result),
                data=lambda: lay_out("Null distribution", {"permuted": result[found[0]]}),
            )
        )  # fmt: skip
    many = "p_value" in result and "neuroid" in result["p_value"].dims
    if (
        many
        and np.isfinite(result["p_value"].values).any()
        and int(result.attrs.get("n_permutations", 0))
    ):
        parts += [
            picture(
                "Null", "Histogram of p values, and their quantiles against those of chance.",
                "Left: dashed, what chance gives. Right: points above the band are smaller p than "
                "chance gives; band: 95 % for independent tests, which neuroids that share noise "
                "are not. Dotted: the smallest p that the permutations can give.",
                lambda: plot_p_values(result),
                data=lambda: lay_out("p values", {"p": result["p_value"]}),
            ),
            ("Table of the null", lambda: tabulate_null(result)),
        ]  # fmt: skip
    return parts
