"""Signal power, and the correlation normalised by it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign._arrays import flatten_targets
from neuroalign.ceilings._repeats import (
    Repeats,
    covary,
    divide_power,
    draw_counts,
    in_chunks,
    label,
    percentiles,
)
from neuroalign.errors import AlignError, some
from neuroalign.scores import pearson

Array = npt.NDArray[Any]


def signal_power(
    responses: xr.DataArray,
    *,
    by: str = "stimulus",
    n_averaged: int | None = None,
    n_bootstrap: int = 1000,
    block: int = 1,
    seed: int = 0,
) -> xr.Dataset:
    """Ceiling from the power that all repeats share.

    Parameters
    ----------
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        Single presentations, every stimulus equally often.
    by : str
        Coord on sample that names what was repeated; ``onset`` for a film shown in several runs.
    n_averaged : int or None
        Repeats averaged in the responses to be bounded; all when None.
    n_bootstrap, block, seed : int
        As in `split_half`.

    Returns
    -------
    Dataset
        ``signal_power``, SP = [var(sum of repeats) - sum of var(repeat)] / (N (N - 1)) in squared
        units of the responses, and its standard error ``signal_power_se``; ``noise_power``, the
        variance of one repeat about the signal; ``ceiling`` = SP / (SP + NP / n), whose root is
        CC_max; ``ceiling_r``, ``lower``, ``upper``.

    Raises
    ------
    SchemaError
        When stimuli do not come equally often.

    References
    ----------
    Sahani & Linden (2003), NeurIPS 15; Schoppe et al. (2016), Frontiers in Computational
    Neuroscience 10:10, doi:10.3389/fncom.2016.00010, equations 5 to 8.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> signal, stimulus = rng.normal(size=(50, 3)), [f"image-{n}" for n in range(50)]
    >>> noisy = np.concatenate([signal + rng.normal(size=signal.shape) for _ in range(4)])
    >>> responses = from_arrays(noisy, modality="fmri", stimulus=stimulus * 4)
    >>> bool((abs(signal_power(responses)["ceiling"] - 0.8) < 0.1).all())
    True
    """
    data = Repeats(responses, by)
    table = data.table("signal_power")
    n_repeats = table.shape[1]
    counts = draw_counts(len(table), n_bootstrap, block, seed)
    power, total = in_chunks(table, counts, lambda part: _powers(part, counts))
    noise = n_repeats * (total - power)
    n = n_averaged or n_repeats
    rho = divide_power(power, noise / n)
    extra = {
        "signal_power": power[0],
        "signal_power_se": _standard_error(power),
        "noise_power": noise[0],
    }
    return data.wrap(
        rho,
        extra,
        {
            "method": "signal_power",
            "formula": "SP / (SP + NP / n), SP = [var(sum) - sum of var] / (N (N - 1))",
            "n_averaged": n,
            "n_repeats": n_repeats,
            "n_bootstrap": n_bootstrap,
            "seed": seed,
        },
    )


def _powers(part: Array, counts: Array) -> tuple[Array, Array]:
    """Signal power, and the variance of the mean over repeats: (draw, target) each."""
    n = part.shape[1]
    mean = part.mean(axis=1)
    total = covary(counts, mean, mean)
    single = sum(covary(counts, part[:, i], part[:, i]) for i in range(n))
    return (n**2 * total - single) / (n * (n - 1)), total


def _standard_error(draws: Array) -> Array:
    count = len(draws) - 1
    if count < 2:
        return np.full(draws.shape[1:], np.nan)
    return np.asarray(draws[1:].std(axis=0, ddof=1))


def normalized_correlation(
    responses: xr.DataArray,
    predicted: xr.DataArray,
    *,
    by: str = "stimulus",
    min_signal: float = 2.0,
    n_bootstrap: int = 1000,
    block: int = 1,
    seed: int = 0,
) -> xr.Dataset:
    """Correlation of predictions with the signal in the responses, noise taken out.

    Parameters
    ----------
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        Single presentations, every stimulus equally often.
    predicted : DataArray (sample, neuroid) or (sample, neuroid, time)
        One row a stimulus, any order, with the same coord ``by``.
    by : str
    min_signal : float
        ``cc_norm`` is NaN where the signal power is below so many of its standard errors: there
        the ratio is no measurement. 0 keeps every positive power.
    n_bootstrap, block, seed : int
        As in `split_half`.

    Returns
    -------
    Dataset
        ``cc_abs`` = corr(prediction, mean of repeats); ``cc_max`` = sqrt(SP / var(mean));
        ``cc_norm`` = cov(prediction, mean) / sqrt(var(prediction) SP), never clipped, with
        ``lower`` and ``upper``; ``signal_to_error`` = SP / SE(SP). ``attrs['n_unreliable']``
        counts what ``min_signal`` made NaN.

    Raises
    ------
    AlignError, SchemaError

    References
    ----------
    Schoppe et al. (2016), Frontiers in Computational Neuroscience 10:10,
    doi:10.3389/fncom.2016.00010, equation 9.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> rng = np.random.default_rng(0)
    >>> signal, stimulus = rng.normal(size=(50, 3)), [f"image-{n}" for n in range(50)]
    >>> noisy = np.concatenate([signal + rng.normal(size=signal.shape) for _ in range(4)])
    >>> responses = from_arrays(noisy, modality="fmri", stimulus=stimulus * 4)
    >>> from neuroalign.align import average_repeats
    >>> truth = average_repeats(responses).copy(data=signal)
    >>> found = normalized_correlation(responses, truth)  # of the true signal: about 1
    >>> bool((abs(found["cc_norm"] - 1) < 0.1).all())
    True
    """
    data = Repeats(responses, by)
    table = data.table("normalized_correlation")
    guess = _align_rows(data, predicted, by)
    counts = draw_counts(len(table), n_bootstrap, block, seed)
    both = np.concatenate([table, guess[:, None]], axis=1)

    def compare(part: Array) -> tuple[Array, ...]:
        repeats, model = part[:, :-1], part[:, -1]
        power, total = _powers(repeats, counts)
        mean = repeats.mean(axis=1)
        cross = covary(counts, model, mean)
        with np.errstate(invalid="ignore", divide="ignore"):
            norm = cross / np.sqrt(covary(counts, model, model) * power)
            return norm, power, np.sqrt(power / total), pearson(mean, model)[None]

    norm, power, cc_max, cc_abs = in_chunks(both, counts, compare)
    with np.errstate(invalid="ignore", divide="ignore"):
        certainty = power[0] / _standard_error(power)
    reliable = power[0] > 0
    if n_bootstrap > 1:
        reliable &= certainty >= min_signal
    # A draw without signal power counts as an infinite ratio, which keeps the interval honest.
    lower, upper = percentiles(np.where(np.isfinite(norm[1:]), norm[1:], np.inf))
    columns = {
        "cc_abs": cc_abs[0],
        "cc_max": cc_max[0],
        "cc_norm": np.where(reliable, norm[0], np.nan),
        "lower": np.where(reliable, lower, np.nan),
        "upper": np.where(reliable, upper, np.nan),
        "signal_to_error": certainty,
    }
    return label(
        data.template,
        columns,
        {
            "method": "normalized_correlation",
            "formula": "cov(prediction, mean) / sqrt(var(prediction) SP)",
            "min_signal": min_signal,
            "n_unreliable": int((~reliable).sum()),
            "n_bootstrap": n_bootstrap,
            "seed": seed,
        },
    )


def _align_rows(data: Repeats, predicted: xr.DataArray, by: str) -> Array:
    """Bring predictions to the order of the stimuli: (stimulus, target)."""
    if by not in predicted.coords:
        raise AlignError(
            f"predicted: expected coord '{by}', got {some(predicted.coords)}. Name its rows."
        )
    rows = {name: row for row, name in enumerate(predicted[by].values.tolist())}
    if len(rows) < predicted.sizes["sample"]:
        raise AlignError(f"predicted: expected each '{by}' once, got repeats. Average them.")
    missing = [name for name in data.labels.tolist() if name not in rows]
    if missing:
        raise AlignError(
            f"predicted: expected every '{by}' of responses, missing {len(missing)} "
            f"({some(missing)}). Predict those too."
        )
    expected = data.template["neuroid"].values
    if predicted.shape[1:] != data.template.shape[1:] or (
        "neuroid" in predicted.coords and (predicted["neuroid"].values != expected).any()
    ):
        raise AlignError(
            f"predicted: expected the neuroids of responses {data.template.shape[1:]}, got "
            f"{predicted.shape[1:]}. Predict the same neuroids in the same order."
        )
    values = predicted.values[[rows[name] for name in data.labels.tolist()]]
    return flatten_targets(values)[0].astype(np.float64)
