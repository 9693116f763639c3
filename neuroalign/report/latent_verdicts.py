"""Sentences on latents, on scores of latent models and on their parameters."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from neuroalign.report._latent_rows import lay_rows
from neuroalign.report.eigenvalue_figures import read_rhythms
from neuroalign.report.latent_scores import RECOVERY, Score, list_scores, measure_folds
from neuroalign.report.motif_figures import check_atlas

# What a Dataset must hold to be read so: one of these sets of variables.
CONTENTS: dict[str, tuple[set[str], ...]] = {
    "scores": ({"co_smoothing"},),
    "rhythms": ({"eigenvalue_real", "eigenvalue_imag"}, {"dynamics", "dynamics_noise"}),
    "motifs": ({"time_course", "affinity"},),
    "chains": ({"start", "transition"},),
}
NULLS = {
    "train": "the mean of the training trials",
    "eval": "the mean of the test entries themselves",
}
MOST_NAMED = 3


def holds(result: xr.Dataset, what: str) -> bool:
    """Tell whether a Dataset has the variables that something is drawn from.

    Parameters
    ----------
    result : Dataset
    what : str
        One of ``CONTENTS``.

    Returns
    -------
    bool
    """
    known = set(map(str, result.data_vars))
    return any(wanted <= known for wanted in CONTENTS[what])


def holds_states(latents: xr.DataArray) -> bool:
    """Tell probabilities of states from other latents: none below 0, adding up to 1.

    Parameters
    ----------
    latents : DataArray (sample, latent) or (sample, time, latent)

    Returns
    -------
    bool
    """
    values = latents.transpose(..., "latent").values.reshape(-1, latents.sizes["latent"])
    values = values[np.isfinite(values).all(axis=1)].astype(np.float64)
    if not len(values) or values.shape[1] < 2 or values.min() < -1e-6:
        return False
    return bool(np.abs(values.sum(axis=1) - 1).max() < 1e-3)


def judge_states(states: xr.DataArray) -> str:
    """Say how many states are visited, and which most.

    Parameters
    ----------
    states : DataArray (sample,) or (sample, time)

    Returns
    -------
    str
    """
    numbers, counts = np.unique(states.values[np.isfinite(states.values)], return_counts=True)
    if not len(numbers):
        return "No bin has a state."
    share = 100 * counts.max() / counts.sum()
    best = int(numbers[counts.argmax()])
    return (
        f"{len(numbers)} states are visited; state-{best:02d} is the most frequent, {share:.0f} %."
    )


def judge_latents(latents: xr.DataArray) -> str:
    """Say how many latents there are, or how many states and which is the most frequent.

    Parameters
    ----------
    latents : DataArray (sample, latent) or (sample, time, latent)

    Returns
    -------
    str
    """
    sizes = " × ".join(f"{size} {dim}" for dim, size in latents.sizes.items())
    if not holds_states(latents):
        return f"latents: {sizes}."
    values = lay_rows(latents, "latents", "latent").values
    known = np.isfinite(values).all(axis=2)
    shares = values[known].mean(axis=0)
    best = int(shares.argmax())
    share = f"{100 * shares[best]:.0f} %"
    text = f"{len(shares)} states ({sizes}): state-{best:02d} is the most frequent, {share}"
    rare = int((shares < 0.01).sum())
    return text + (f"; {rare} hold less than 1 % of the bins." if rare else ".")


def _compare(score: Score) -> str:
    """How a score stands to its control."""
    if score.control is None:
        return ""
    control = measure_folds(score.control)[0]
    above = int((score.folds > score.control).sum())
    n = int(np.isfinite(score.folds).sum())
    if not measure_folds(score.folds)[0] > control:
        return f"not above its shuffled control {control:.3f}"
    return f"above its shuffled control {control:.3f} in {above} of {n} folds"


def _judge_scores(result: xr.Dataset) -> str:
    first, *others = list_scores(result)
    mean, error = measure_folds(first.folds)
    text = f"{result.attrs.get('model', 'model')}: {first.name} {mean:.3f}"
    text += f" ± {error:.3f}" if np.isfinite(error) else ""
    null = str(result.attrs.get("null", ""))
    text += f" {first.unit}" + (f" beyond {NULLS.get(null, null)}" if null else "")
    compared = _compare(first)
    text += f", {compared}" if compared else ", without a shuffled control"
    if first.oracle > 0:
        text += f", {100 * mean / first.oracle:.0f} % of the oracle {first.oracle:.3f}"
    for score in others:
        mean = measure_folds(score.folds)[0]
        if np.isfinite(mean) and not score.name.startswith(RECOVERY):
            compared = _compare(score)
            text += f"; {score.name} {_name(score, mean)}"
            text += f" ({compared})" if compared else ""
    found = [measure_folds(one.folds)[0] for one in others if one.name.startswith(RECOVERY)]
    if np.isfinite(found).any():
        low, high = np.nanmin(found), np.nanmax(found)
        text += f"; {len(found)} true latents recovered with R² from {low:.3f} to {high:.3f}"
    return text + "."


def _name(score: Score, value: float) -> str:
    return f"R² {value:.3f}" if score.unit == "R²" else f"{value:.3f} {score.unit}"


def _judge_rhythms(result: xr.Dataset) -> str:
    rhythms = read_rhythms(result)
    frequency, decay = rhythms.frequency.ravel(), rhythms.decay.ravel()
    unit = ("Hz", "s") if rhythms.step is not None else ("cycles per step", "steps")
    paired = (rhythms.values.ravel().imag > 1e-12) & np.isfinite(decay)
    slow = np.flatnonzero(paired)[np.argsort(-decay[paired], kind="stable")][:MOST_NAMED]
    named = [
        f"{frequency[i]:.3g} {unit[0]} (decays in {decay[i]:.3g} {unit[1]})" for i in slow.tolist()
    ]
    text = f"{result.attrs.get('method', 'model')}: {rhythms.values.size} modes"
    text += f", the most lasting rhythms {', '.join(named)}" if named else ", no damped rhythm"
    lasting = int(np.isinf(decay).sum())
    return text + (f"; {lasting} modes do not decay." if lasting else ".")


def _judge_motifs(result: xr.Dataset) -> str:
    atlas = check_atlas(result)
    n = [
        f"{atlas.sizes[dim]} {dim}s" for dim in ("time", "subject", "neuroid") if dim in atlas.sizes
    ]
    text = f"{result.attrs.get('method', 'atlas')}: {atlas.sizes['component']} motifs over "
    text += ", ".join(n)
    if "communities" in atlas:
        groups = [np.unique(row[row >= 0]).size for row in atlas["communities"].values]
        text += f"; communities by motif: {', '.join(map(str, groups))}"
    return text + "."


def _judge_chain(result: xr.Dataset) -> str:
    stay = np.diag(result["transition"].values)
    # A geometric stay: 1 / (1 - p) bins; a state that is never left has none.
    spans = 1 / np.maximum(1 - stay, np.finfo(np.float64).eps)
    text = f"{result.attrs.get('method', 'model')}: {len(stay)} states"
    return f"{text} that last {spans.min():.3g} to {spans.max():.3g} bins on average."


JUDGES: dict[str, Callable[[xr.Dataset], str]] = {
    "scores": _judge_scores,
    "rhythms": _judge_rhythms,
    "motifs": _judge_motifs,
    "chains": _judge_chain,
}


def judge_fit(result: xr.Dataset) -> str | None:
    """Say how well a latent model predicts, or what it found; None for any other estimate.

    Parameters
    ----------
    result : Dataset
        Of kind ``estimate``.

    Returns
    -------
    str or None

    Raises
    ------
    SchemaError
        When what it holds is of other dims, or not finite.
    """
    found = [judge(result) for what, judge in JUDGES.items() if holds(result, what)]
    return " ".join(found) if found else None
