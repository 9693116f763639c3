"""Errors of decoded flow beside those of controls, and what they come to."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.stats.intervals import bootstrap_interval

Array = npt.NDArray[Any]


def measure_error(guess: Array, flow: Array, inside: Array | None = None) -> Array:
    """Mean length (sample,) of what a prediction lacks, over the places that count."""
    length: Array = np.linalg.norm(guess - flow, axis=-1)
    if inside is None:
        return np.asarray(length.mean(axis=(1, 2)))
    return np.asarray((length * inside).sum(axis=(1, 2)) / inside.sum(axis=(1, 2)))


def read_mask(mask: Any, flow: Array) -> Array | None:
    """Check which places (sample, row, column) count.

    Raises
    ------
    ValueError
    """
    if mask is None:
        return None
    inside = np.asarray(mask, dtype=bool)
    if inside.shape != flow.shape[:3] or not inside.any(axis=(1, 2)).all():
        raise ValueError(
            f"mask: expected a place at least of each sample {flow.shape[:3]}, got shape "
            f"{inside.shape} with {int(inside.sum())}. Leave samples without any out."
        )
    return inside


def read_groups(groups: Any, X: Any) -> Any:
    """Give what depends on each other: groups as given, else runs where there are several."""
    if groups is None and isinstance(X, xr.DataArray) and "run" in X.coords:
        runs = X["run"].values
        return runs if len(np.unique(runs)) > 1 else None
    return groups


def report_errors(errors: dict[str, Array], groups: Any, level: float, seed: int) -> xr.Dataset:
    """Join errors (sample,) of predictors, the decoder first; see `MotionDecoder.compare`."""
    table = np.stack(list(errors.values()))
    gain = table[1:] - table[0]
    found = bootstrap_interval(
        gain.T, groups=groups, method="percentile", level=level, n_resamples=1000, seed=seed
    )
    names = list(errors)
    result = xr.Dataset(
        {
            "error": ("predictor", table.mean(axis=1)),
            "error_sample": (("predictor", "sample"), table),
            "gain": ("control", gain.mean(axis=1)),
            "lower": ("control", found["lower"].values),
            "upper": ("control", found["upper"].values),
        },
        coords={"predictor": names, "control": names[1:]},
        attrs={
            "kind": "estimate", "method": "motion decoding", "headline": "error",
            "metric": "end-point error", "n_items": table.shape[1], "level": level, "seed": seed,
        },
    )  # fmt: skip
    mean = result["error"].values
    said = ", ".join(f"{name} {value:.3f}" for name, value in zip(names, mean, strict=True))
    low, high = float(result["lower"][0]), float(result["upper"][0])
    return result.assign_attrs(
        verdict=f"End-point error: {said}; the brain takes {float(result['gain'][0]):.3f} "
        f"[{low:.3f}, {high:.3f}] off that of the first frame."
    )
