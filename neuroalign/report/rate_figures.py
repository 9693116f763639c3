"""Figures of predicted rates over what was recorded."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from neuroalign.errors import AlignError, SchemaError, some
from neuroalign.report._latent_rows import group_rows, lay_rows, to_rates
from neuroalign.report._style import INK, MUTED, PALETTE, SECOND, new_figure, tidy, write_label
from neuroalign.report._summaries import average, compute_interval

Array = npt.NDArray[Any]
MOST_NEUROIDS = 12
MOST_CONDITIONS = 3


def plot_rates(
    rates: xr.DataArray,
    responses: xr.DataArray,
    *,
    held_out: Any = None,
    by: str | None = None,
    neuroids: Sequence[str] | None = None,
) -> Figure:
    """Draw predicted rates over what was recorded, averaged over the trials of a condition.

    Parameters
    ----------
    rates : DataArray (sample, neuroid, time)
        Of ``predict_rates``.
    responses : DataArray (sample, neuroid, time)
        Of the same trials; time in s. Counts are drawn as spikes/s where the width of a bin is
        known. What is NaN in either is left out of both means.
    held_out : bool (neuroid), optional
        Neuroids that the model did not see when it predicted these rates; they are framed and
        named so.
    by : str, optional
        Coord on ``sample`` that names the condition: ``stimulus`` when not given and stimuli
        repeat, else all trials are one. The first three are drawn.
    neuroids : sequence of str, optional
        Which to draw, 12 at most; otherwise those that respond most, held-out ones first.

    Returns
    -------
    Figure
        Solid with band: mean of the data with a 95 % t-interval over trials, cut where it is far
        wider than usual. Dashed: the model.
        R²: of the model's means for those of the data, over the conditions and times drawn.

    Raises
    ------
    AlignError
        When rates and responses are of different neuroids or shapes.
    SchemaError
        When dims are others, nothing is finite in both, ``by`` is unknown, or predictions are
        passed as the data.
    ValueError
        When neuroids are unknown or too many, or ``held_out`` is of another length.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> coords = {"neuroid": ["a", "b"], "time": 0.1 * np.arange(5)}
    >>> counts = xr.DataArray(
    ...     np.random.default_rng(0).poisson(2.0, (30, 2, 5)) * 1.0, coords,
    ...     ("sample", "neuroid", "time"), attrs={"units": "count"},
    ... )
    >>> figure = plot_rates(counts.copy(data=np.full(counts.shape, 2.0)), counts)
    >>> bool(np.allclose(figure.axes[0].lines[1].get_ydata(), 20.0))
    True
    """
    _check_pair(rates, responses)
    _check_order(rates, responses)
    guess, seen = rates.values.astype(np.float64), responses.values.astype(np.float64)
    if "valid" in responses.coords:
        inside = responses["valid"].transpose("sample", "time").values.astype(bool)
        seen = np.where(inside[:, None], seen, np.nan)
    known = np.isfinite(guess) & np.isfinite(seen)
    if not known.any():
        raise SchemaError("rates: expected finite values where responses are, got none. Refit.")
    factor, label = to_rates(responses)
    guess, seen = (np.where(known, one, np.nan) * factor for one in (guess, seen))
    hidden = _read_held_out(held_out, seen.shape[1])
    names = responses["neuroid"].values.astype(str) if "neuroid" in responses.coords else (
        np.arange(seen.shape[1]).astype(str))  # fmt: skip
    picked = _pick_neuroids(neuroids, names, average(seen, (0, 2)), hidden)
    rows = lay_rows(xr.ones_like(responses.isel(neuroid=0, drop=True)), "responses", None)
    groups = list(group_rows(responses, rows, by).items())[:MOST_CONDITIONS]
    n_columns = min(4, len(picked))
    n_rows = -(-len(picked) // n_columns)
    figure = new_figure(max(5.0, 2.5 * n_columns + 1.2), 0.9 + 1.75 * n_rows)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True)
    for number, axes in enumerate(grid.ravel()):
        if number >= len(picked):
            axes.set_axis_off()
            continue
        unit = picked[number]
        share = _draw_unit(axes, rows.time, guess[:, unit], seen[:, unit], groups)
        tidy(axes, grid="y")
        _name_unit(axes, names[unit], share, bool(hidden[unit]))
        if number >= len(picked) - n_columns:
            axes.set_xlabel(f"time [{rows.unit}]")
            axes.tick_params(labelbottom=True)
    figure.supylabel(write_label(label), fontsize=10, color=INK)
    _name_courses(figure, groups)
    return figure


def _name_courses(figure: Figure, groups: list[tuple[str, Array]]) -> None:
    colors = _color_groups(groups)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=color, linewidth=2.2, label=write_label(name, 24))
        for (name, _), (color, _) in zip(groups, colors, strict=True)
        if name
    ]
    data, model = colors[0] if not handles else (MUTED, MUTED)
    handles += [
        Line2D([], [], color=data, linewidth=1.2, label="data, mean"),
        Patch(color=data, alpha=0.2, linewidth=0, label="data, 95 %"),
        Line2D([], [], color=model, linewidth=2.0, linestyle=(0, (3, 1.2)), label="model"),
    ]
    figure.legend(handles=handles, frameon=False, fontsize=9, loc="outside right upper")


def _check_order(rates: xr.DataArray, responses: xr.DataArray) -> None:
    """Refuse predictions in the place of the data, which models mark."""
    told, other = (one.attrs.get("method") for one in (responses, rates))
    if told == "predicted rates" and other != told:
        raise SchemaError(
            "responses: expected what was recorded, got predicted rates. Swap the arguments: rates "
            "first."
        )


def _check_pair(rates: xr.DataArray, responses: xr.DataArray) -> None:
    for array, name in ((rates, "rates"), (responses, "responses")):
        if array.dims != ("sample", "neuroid", "time"):
            raise SchemaError(
                f"{name}: expected dims ('sample', 'neuroid', 'time'), got {array.dims}. Transpose."
            )
    if rates.shape != responses.shape:
        raise AlignError(
            f"rates: expected shape {responses.shape} as responses, got {rates.shape}. Predict "
            "the trials that are drawn."
        )
    for key in ("neuroid", "stimulus"):
        if key in rates.coords and key in responses.coords:
            one, other = rates[key].values, responses[key].values
            if not np.array_equal(one, other):
                raise AlignError(
                    f"rates: expected the {key} labels of responses, got {some(one[one != other])}"
                    " in other places. Select the same ones in the same order."
                )


def _read_held_out(held_out: Any, n: int) -> Array:
    if held_out is None:
        return np.zeros(n, dtype=bool)
    hidden = np.asarray(held_out)
    if hidden.shape != (n,):
        raise ValueError(
            f"held_out: expected one truth value for each of {n} neuroids, got shape "
            f"{hidden.shape}. Select one split."
        )
    return hidden.astype(bool)


def _pick_neuroids(
    asked: Sequence[str] | None, names: Array, strength: Array, hidden: Array
) -> list[int]:
    """Which to draw; of those that nobody asked for, half are held out where there are enough."""
    if asked is not None:
        unknown = [name for name in asked if name not in names]
        if unknown or not 1 <= len(asked) <= MOST_NEUROIDS:
            got = some(unknown) if unknown else f"{len(asked)} of them"
            raise ValueError(
                f"neuroids: expected 1 to {MOST_NEUROIDS} of the labels of responses, got {got}. "
                "Name others."
            )
        return [int(np.flatnonzero(names == name)[0]) for name in asked]
    order = np.argsort(-np.nan_to_num(strength, nan=-np.inf), kind="stable")
    held, other = order[hidden[order]], order[~hidden[order]]
    n_held = min(len(held), max(MOST_NEUROIDS // 2, MOST_NEUROIDS - len(other)))
    return [*held[:n_held].tolist(), *other[: MOST_NEUROIDS - n_held].tolist()]


def _color_groups(groups: list[tuple[str, Array]]) -> list[tuple[str, str]]:
    """Colours of data and model of each condition."""
    if len(groups) == 1:
        return [(INK, PALETTE[0])]
    return [(color, color) for color in PALETTE[: len(groups)]]


def _draw_unit(
    axes: Axes, time: Array, guess: Array, seen: Array, groups: list[tuple[str, Array]]
) -> float:
    """Draw one neuroid, (sample, time) each; give R2 of the means."""
    pairs, widths = [], []
    for (_, inside), (data, model) in zip(groups, _color_groups(groups), strict=True):
        course = np.array([compute_interval(column)[:3] for column in seen[inside].T])
        predicted = average(guess[inside], 0)
        pairs.append(np.stack([course[:, 0], predicted]))
        axes.fill_between(time, course[:, 1], course[:, 2], color=data, alpha=0.17, linewidth=0)
        axes.plot(time, course[:, 0], color=data, linewidth=1.2, gid="data")
        axes.plot(time, predicted, color=model, linewidth=2.0, linestyle=(0, (3, 1.2)), gid="model")
        widths.append((course[:, 2] - course[:, 1]) / 2)
    _limit_rates(axes, np.concatenate(pairs, axis=1), np.concatenate(widths))
    both = np.concatenate(pairs, axis=1)
    both = both[:, np.isfinite(both).all(axis=0)]
    total = float(((both[0] - both[0].mean()) ** 2).sum()) if both.size else 0.0
    return 1.0 - float(((both[0] - both[1]) ** 2).sum()) / total if total else np.nan


def _limit_rates(axes: Axes, courses: Array, widths: Array) -> None:
    """Make room for means and usual intervals; those of few trials may be far wider."""
    if not np.isfinite(courses).any():
        return
    room = float(np.nanmedian(widths)) if np.isfinite(widths).any() else 0.0
    low, high = float(np.nanmin(courses)), float(np.nanmax(courses))
    room = max(room, 0.08 * (high - low), 1e-9)
    # Rates end at 0, unless a model says less.
    positive = np.fmin.reduce(courses[0]) >= 0
    bottom = max(low - room, min(1.05 * low, 0.0)) if positive else low - room
    axes.set_ylim(bottom, high + room)


def _name_unit(axes: Axes, name: str, share: float, hidden: bool) -> None:
    text = write_label(name, 16) + (", held out" if hidden else "")
    axes.set_title(text, fontsize=9, color=SECOND if hidden else INK, loc="left", pad=14)
    fit = f"R² {share:.2f}" if np.isfinite(share) else "R² undefined"
    axes.text(0, 1.02, fit, transform=axes.transAxes, fontsize=8, color=MUTED, va="bottom")
    if hidden:
        for side in ("left", "bottom"):
            axes.spines[side].set(color=SECOND, linewidth=1.8)
