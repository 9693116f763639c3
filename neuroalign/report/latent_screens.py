"""What latents, scores of latent models and their parameters show on the page."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from neuroalign.report._blocks import Block, Cell, Note, Table
from neuroalign.report._cells import MOST_ROWS
from neuroalign.report._latent_rows import lay_rows
from neuroalign.report._parts import Part, attempt, picture, warn
from neuroalign.report._style import to_picture
from neuroalign.report.eigenvalue_figures import plot_eigenvalues, read_rhythms
from neuroalign.report.figure_data import lay_out
from neuroalign.report.latent_figures import MOST_GROUPS, MOST_TRIALS, plot_trajectories
from neuroalign.report.latent_scores import list_scores, measure_folds, plot_score_report
from neuroalign.report.latent_verdicts import holds, holds_states, judge_latents, judge_states
from neuroalign.report.motif_figures import (
    MOST_FACTORS,
    MOST_SUBJECTS,
    check_atlas,
    name_components,
    plot_motifs,
)
from neuroalign.report.state_figures import plot_states
from neuroalign.report.tables import tabulate_provenance
from neuroalign.report.time_figures import get_times


def _round(value: float, digits: int = 4) -> Cell:
    return round(float(value), digits) if np.isfinite(value) else None


def show_states(states: xr.DataArray) -> list[Block]:
    """The most probable state of every bin.

    Parameters
    ----------
    states : DataArray (sample,) or (sample, time)
        As ``predict_states`` gives them.

    Returns
    -------
    list of Block
    """
    title, make = picture(
        "States", f"Trials in the colours of their states. {judge_states(states)}",
        "White: after the end of a trial.", lambda: plot_states(states),
        data=lambda: lay_out("States", {"state": states}),
    )  # fmt: skip
    return [*warn(states), attempt(title, make), tabulate_provenance(states)]


def show_latents(latents: xr.DataArray) -> list[Block]:
    """Paths, or states where latents are probabilities, with a table of the latents.

    Parameters
    ----------
    latents : DataArray (sample, latent) or (sample, time, latent)

    Returns
    -------
    list of Block
    """
    said = judge_latents(latents)
    states = picture(
        "States", f"Trials in the colours of their states. {said}",
        "Above: the most probable state, paler where it is less certain; white: after the end of "
        "a trial. Below: mean probability over trials.",
        lambda: plot_states(latents),
        data=lambda: lay_out("States", {"probability": latents}),
    )  # fmt: skip
    paths = picture(
        "Trajectories", f"Paths of trials through the latents. {said}",
        f"Faint: single trials, at most {MOST_TRIALS} a condition; bold: mean of each condition, "
        f"of which at most {MOST_GROUPS} are drawn; circle: start. The first three latents.",
        lambda: plot_trajectories(latents),
        data=lambda: lay_out("Trajectories", {"value": latents}),
    )  # fmt: skip
    parts: list[Part] = []
    # Without times or runs, samples are in no order that a line could follow.
    if "time" in latents.dims or "run" in latents.coords:
        parts.append(states if holds_states(latents) else paths)
    parts.append(("Table of latents", lambda: tabulate_latents(latents)))
    blocks = [attempt(title, make) for title, make in parts]
    return [*warn(latents), *blocks, tabulate_provenance(latents)]


def list_fit_parts(result: xr.Dataset) -> list[Part]:
    """Figures and tables of scores or parameters of a latent model, by what a Dataset holds.

    Parameters
    ----------
    result : Dataset
        Of kind ``estimate``: of `neuroalign.latents.score_latents`, or ``params_``.

    Returns
    -------
    list of (title, function that makes the block)
    """
    found: list[Part] = []
    for what, list_parts in PARTS.items():
        if holds(result, what):
            found += list_parts(result)
    return found


def _list_score_parts(result: xr.Dataset) -> list[Part]:
    drawn = picture(
        "Scores", "Bars of each score beside its shuffled control and oracle; the table of scores "
        "holds the numbers.",
        "Mean over folds ± standard error, over held-out trials. Folds share training trials: the "
        "error is a rough one. Grey: the same score on shuffled data, in which nothing is to be "
        "found. Diamond: the true rates, which no model can beat but by chance.",
        lambda: plot_score_report(result),
        data=lambda: tabulate_scores(result),
    )  # fmt: skip
    return [
        ("Controls", lambda: _compare_controls(result)),
        drawn,
        ("Table of scores", lambda: tabulate_scores(result)),
    ]


def _compare_controls(result: xr.Dataset) -> Block:
    """Say which scores are no better than those of shuffled data."""
    above = {
        score.name: measure_folds(score.folds)[0] > measure_folds(score.control)[0]
        for score in list_scores(result)
        if score.control is not None
    }
    if not above:
        return Note("No shuffled control: scores are shown without their null.", "warning")
    empty = [name for name, better in above.items() if not better]
    if empty:
        return Note(f"Not above the shuffled control: {', '.join(empty)}.", "warning")
    return Note(f"Above the shuffled control: {', '.join(above)}.", "good")


def _list_rhythm_parts(result: xr.Dataset) -> list[Part]:
    return [
        picture(
            "Eigenvalues", "Eigenvalues in the complex plane with the unit circle; decay times "
            "by frequency. The table of modes holds the numbers.",
            "Of one step in time. On the circle a mode lasts, inside it decays. Right: one mark "
            "for each conjugate pair; triangles do not decay.",
            lambda: plot_eigenvalues(result),
            data=lambda: tabulate_modes(result),
        ),
        ("Table of modes", lambda: tabulate_modes(result)),
    ]  # fmt: skip


def _list_motif_parts(result: xr.Dataset) -> list[Part]:
    def draw() -> Block:
        return to_picture(
            plot_motifs(result), "Motifs",
            "For each component its course in time, its share in subjects, and the pairs of "
            "neuroids that it joins, ordered by community.",
            "One row a component: when, in whom, between which neuroids. White lines: between "
            f"communities. At most {MOST_FACTORS} components and {MOST_SUBJECTS} subjects. Colours "
            "of each matrix have their own scale.",
            data=tabulate_motifs(result),
        )  # fmt: skip

    return [("Motifs", draw), ("Table of motifs", lambda: tabulate_motifs(result))]


PARTS: dict[str, Callable[[xr.Dataset], list[Part]]] = {
    "scores": _list_score_parts,
    "rhythms": _list_rhythm_parts,
    "motifs": _list_motif_parts,
}


def tabulate_latents(latents: xr.DataArray) -> Table:
    """One row a latent: how it spreads over trials and times.

    Parameters
    ----------
    latents : DataArray (sample, latent) or (sample, time, latent)

    Returns
    -------
    Table
        Columns: latent, known values, mean, standard deviation, least, greatest.
    """
    values = lay_rows(latents, "latents", "latent").values
    known = "latent" in latents.coords
    names = latents["latent"].values if known else range(values.shape[2])
    rows = []
    for name, one in zip(names, values.reshape(-1, values.shape[2]).T, strict=True):
        one = one[np.isfinite(one)]
        spread = (one.mean(), one.std(), one.min(), one.max()) if len(one) else (np.nan,) * 4
        rows.append((str(name), len(one), *map(_round, spread)))
    columns = ("latent", "values", "mean", "standard deviation", "least", "greatest")
    return Table("Latents", columns, tuple(rows[:MOST_ROWS]))


def tabulate_scores(result: xr.Dataset) -> Table:
    """One row a score of a latent model: mean, error, shuffled control, oracle.

    Parameters
    ----------
    result : Dataset
        Of `neuroalign.latents.score_latents`.

    Returns
    -------
    Table
        Columns: score, unit, mean and standard error over folds, folds, mean of the shuffled
        control, folds above it, oracle, mean over oracle.
    """
    rows = []
    for score in list_scores(result):
        mean, error = measure_folds(score.folds)
        control, above = np.nan, None
        if score.control is not None:
            control = measure_folds(score.control)[0]
            above = int((score.folds > score.control).sum())
        share = mean / score.oracle if score.oracle > 0 else np.nan
        n = int(np.isfinite(score.folds).sum())
        rows.append(
            (score.name, score.unit, _round(mean), _round(error), n, _round(control), above,
             _round(score.oracle), _round(share, 3))
        )  # fmt: skip
    columns = ("score", "unit", "mean", "standard error", "folds", "shuffled",
               "folds above shuffled", "oracle", "mean / oracle")  # fmt: skip
    return Table("Scores of the model", columns, tuple(rows))


def tabulate_modes(result: xr.Dataset) -> Table:
    """One row a mode: eigenvalue, modulus, frequency, decay time.

    Parameters
    ----------
    result : Dataset
        ``eigenvalue_real`` and ``eigenvalue_imag``; seconds with ``attrs['time_step']``.

    Returns
    -------
    Table
        The first 500 modes; no decay time where a mode does not decay.
    """
    rhythms = read_rhythms(result)
    frequency, decay = rhythms.frequency, rhythms.decay
    rows: list[tuple[Cell, ...]] = []
    for row, group in enumerate(rhythms.groups):
        for mode, value in enumerate(rhythms.values[row]):
            numbers = (value.real, value.imag, abs(value), frequency[row, mode], decay[row, mode])
            rows.append((group or "all", mode, *map(_round, numbers)))
    units = ("Hz", "s") if rhythms.step is not None else ("cycles per step", "steps")
    columns = ("group", "mode", "real", "imaginary", "modulus", f"frequency [{units[0]}]",
               f"decay time [{units[1]}]")  # fmt: skip
    caption = "A dash: the mode does not decay."
    return Table("Modes", columns, tuple(rows[:MOST_ROWS]), caption)


def tabulate_motifs(result: xr.Dataset) -> Table:
    """One row a component: its weight, when it peaks, in whom most, and in how many communities.

    Parameters
    ----------
    result : Dataset
        As in `plot_motifs`.

    Returns
    -------
    Table
    """
    atlas = check_atlas(result)
    time, unit = get_times(atlas["time_course"])
    rows: list[tuple[Cell, ...]] = []
    for number, name in enumerate(name_components(atlas)):
        one = atlas.isel(component=number)
        course = one["time_course"].values
        peak = _round(time[np.nanargmax(course)]) if np.isfinite(course).any() else None
        weight = _round(float(one["weight"])) if "weight" in one else None
        subject = None
        if "subject_share" in one and np.isfinite(one["subject_share"].values).any():
            best = int(np.nanargmax(one["subject_share"].values))
            subject = str(one["subject"].values[best]) if "subject" in one.coords else str(best)
        groups = one["communities"].values if "communities" in one else np.array([])
        n = len(np.unique(groups[groups >= 0])) if len(groups) else None
        rows.append((name, weight, peak, subject, n))
    columns = ("component", "weight", f"peak [{unit}]", "strongest subject", "communities")
    return Table("Table of motifs", columns, tuple(rows[:MOST_ROWS]))
