"""Figure of the rhythms of linear dynamics: eigenvalues, frequencies, decay times."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neuroalign.errors import SchemaError, some
from neuroalign.report._latent_rows import color_states
from neuroalign.report._style import ACCENT, LINE, MUTED, new_figure, tidy, write_label

Array = npt.NDArray[Any]
WIDER = 1.15


class Rhythms(NamedTuple):
    """``values`` complex (group, mode), with the names of groups and the step in seconds."""

    values: Array
    groups: list[str]
    step: float | None

    @property
    def frequency(self) -> Array:
        """Of each mode, in Hz, or cycles per step where no step is known."""
        return np.asarray(np.abs(np.angle(self.values)) / (2 * np.pi * (self.step or 1.0)))

    @property
    def decay(self) -> Array:
        """Time to fall to 1/e, in s or steps; infinite where the modulus is 1 or more."""
        with np.errstate(divide="ignore"):
            rate = np.log(np.abs(self.values))
        safe = np.where(rate < 0, rate, -1.0)
        return np.asarray(np.where(rate < 0, -(self.step or 1.0) / safe, np.inf))


def read_rhythms(eigenvalues: Any, time_step: float | None = None) -> Rhythms:
    """Read eigenvalues of steps in time from wherever a model keeps them.

    Parameters
    ----------
    eigenvalues : Dataset, DataArray or complex array (mode,) or (group, mode)
        A Dataset holds ``eigenvalue_real`` and ``eigenvalue_imag``, of dims (mode) or
        (state, mode), or ``dynamics`` ([state, ]latent_next, latent), as ``params_`` does.
    time_step : float, optional
        Seconds; otherwise ``attrs['time_step']`` where it is there.

    Returns
    -------
    Rhythms

    Raises
    ------
    SchemaError
        Without eigenvalues, or when one is not finite.
    ValueError
        When the step is not positive.
    """
    array = eigenvalues
    if hasattr(eigenvalues, "get_params"):
        raise SchemaError(
            f"eigenvalues: expected numbers, got {type(eigenvalues).__name__}, a model. Pass "
            "model.eigenvalues_ or model.params_."
        )
    if isinstance(eigenvalues, xr.Dataset):
        array = _take_eigenvalues(eigenvalues)
    attrs = getattr(eigenvalues, "attrs", {})
    step = attrs.get("time_step") if time_step is None else time_step
    if step is not None and not float(step) > 0:
        raise ValueError(f"time_step: expected seconds above 0, got {step}. Give the bin width.")
    values = np.atleast_2d(np.asarray(getattr(array, "values", array), dtype=np.complex128))
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise SchemaError(
            f"eigenvalues: expected finite ones of dims (mode) or (group, mode), got shape "
            f"{values.shape} with {int((~np.isfinite(values)).sum())} that are not. Check the fit."
        )
    groups = [""] * len(values)
    if len(values) > 1:
        dim = str(getattr(array, "dims", ("group",))[0])
        labels = array[dim].values.astype(str) if dim in getattr(array, "coords", ()) else None
        groups = [
            f"{dim} {number}" if labels is None else str(labels[number])
            for number in range(len(values))
        ]
    return Rhythms(values, groups, None if step is None else float(step))


def _take_eigenvalues(params: xr.Dataset) -> xr.DataArray:
    """Eigenvalues as they are kept, or those of ``dynamics`` (..., latent_next, latent)."""
    parts = [f"eigenvalue_{part}" for part in ("real", "imag")]
    if set(parts) <= set(params.data_vars):
        return params[parts[0]] + 1j * params[parts[1]]
    if "dynamics" not in params or len(set(params["dynamics"].shape[-2:])) != 1:
        raise SchemaError(
            f"eigenvalues: expected 'eigenvalue_real' and 'eigenvalue_imag', or 'dynamics' (..., "
            f"latent_next, latent), got {some(params.data_vars)}. Give params_ of a model with "
            "linear dynamics, or its eigenvalues_."
        )
    maps = params["dynamics"].values
    if not np.isfinite(maps).all():
        raise SchemaError("eigenvalues: expected finite 'dynamics', got NaN. Check the fit.")
    lead = params["dynamics"].dims[:-2]
    coords = {dim: params[dim].values for dim in lead if dim in params.coords}
    return xr.DataArray(np.linalg.eigvals(maps), coords, (*lead, "mode"))


def plot_eigenvalues(eigenvalues: Any, *, time_step: float | None = None) -> Figure:
    """Draw eigenvalues of the step in time, and the rhythms that they stand for.

    Parameters
    ----------
    eigenvalues : Dataset, DataArray or complex array (mode,) or (group, mode)
        Per step: ``eigenvalues_`` of dynamic modes, or ``params_`` of models with linear dynamics,
        also of switching ones: each state has its own colour.
    time_step : float, optional
        Seconds; otherwise ``attrs['time_step']``, else axes count steps.

    Returns
    -------
    Figure
        Left: the complex plane; inside the circle modes decay. Right: frequency, and the time in
        which a mode falls to 1/e, one mark for each conjugate pair; triangles at the upper edge
        do not decay. Modes that die within a tenth of a step stand at the lower edge.

    Raises
    ------
    SchemaError
        Without eigenvalues, when one is not finite, or for more than 24 groups.
    ValueError
        When the step is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> figure = plot_eigenvalues(0.9 * np.exp([0.2j, -0.2j]), time_step=0.01)
    >>> [round(float(value), 3) for value in figure.axes[1].collections[0].get_offsets()[0]]
    [3.183, 0.095]
    """
    rhythms = read_rhythms(eigenvalues, time_step)
    colors = color_states(len(rhythms.values)) if len(rhythms.values) > 1 else [ACCENT]
    figure = new_figure(8.6, 4.0)
    plane, right = figure.subplots(1, 2, width_ratios=[1.0, WIDER])
    rim = np.linspace(0, 2 * np.pi, 361)
    plane.plot(np.cos(rim), np.sin(rim), color=MUTED, linewidth=1.0, gid="unit circle")
    for place in (plane.axhline, plane.axvline):
        place(0, color=LINE, linewidth=0.8, zorder=0)
    unit = ("Hz", "s") if rhythms.step is not None else ("cycles per step", "steps")
    step = rhythms.step or 1.0
    shown, frequency, decay = rhythms.values, rhythms.frequency, rhythms.decay
    low, high = _find_span(decay, step)
    for row, (name, color) in enumerate(zip(rhythms.groups, colors, strict=True)):
        plane.scatter(
            shown[row].real, shown[row].imag, s=34, color=[color], edgecolors="white",
            linewidths=0.7, zorder=3, label=write_label(name, 24) if name else "eigenvalue",
        )  # fmt: skip
        upper = shown[row].imag >= 0
        goes = np.isinf(decay[row])
        for inside, marker, height in (
            (upper & ~goes, "o", np.clip(decay[row], low, high)),
            (upper & goes, "^", np.full(len(goes), high)),
        ):
            right.scatter(
                frequency[row][inside], height[inside], s=40, marker=marker, color=[color],
                edgecolors="white", linewidths=0.7, zorder=3, clip_on=False, gid=f"decay {marker}",
            )  # fmt: skip
    reach = max(1.0, float(np.abs(shown).max())) * 1.1
    plane.set(xlim=(-reach, reach), ylim=(-reach, reach), box_aspect=1)
    plane.set_xlabel("real part")
    plane.set_ylabel("imaginary part")
    right.set(yscale="log", ylim=(low, high), box_aspect=1 / WIDER)
    nyquist = 0.5 / step
    spread = float(frequency.max())
    right.set_xlim(-0.03 * (spread or nyquist), 1.08 * (spread or nyquist))
    right.set_xlabel(f"frequency [{unit[0]}]")
    right.set_ylabel(f"decay time to 1/e [{unit[1]}]")
    right.axhline(step, color=MUTED, linewidth=0.9, linestyle="--", zorder=1.5, gid="one step")
    tidy(plane)
    tidy(right, grid="y")
    _name_rhythms(figure, plane, bool(np.isinf(decay).any()))
    return figure


def _find_span(decay: Array, step: float) -> tuple[float, float]:
    """Ends of the axis of decay times: around what is finite, from a tenth of a step at least."""
    finite = decay[np.isfinite(decay) & (decay > 0.1 * step)]
    ends = (0.6 * finite.min(), 2.2 * finite.max()) if finite.size else (step, 10 * step)
    return max(0.1 * step, min(float(ends[0]), 0.6 * step)), max(float(ends[1]), 4 * step)


def _name_rhythms(figure: Figure, plane: Axes, growing: bool) -> None:
    handles: list[Any] = [*plane.get_legend_handles_labels()[0]]
    handles.append(Line2D([], [], color=MUTED, linewidth=1.0, label="modulus 1"))
    handles.append(Line2D([], [], color=MUTED, linewidth=0.9, linestyle="--", label="one step"))
    if growing:
        handles.append(
            Line2D([], [], color="none", marker="^", mfc=MUTED, mec="white", label="no decay")
        )
    figure.legend(handles=handles, frameon=False, fontsize=9, loc="outside right upper")
