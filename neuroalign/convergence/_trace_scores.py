"""What a trace keeps of each checkpoint, and what it says of all."""

from collections.abc import Iterable

import numpy as np
import xarray as xr

from neuroalign.convergence.encoding import encoding_score, score_best_layer
from neuroalign.convergence.half_times import find_half_times
from neuroalign.convergence.spatial import spatial_score
from neuroalign.convergence.temporal import temporal_score

SPATIAL = ("score", "lower", "upper", "p_spin", "p_shuffled")
TEMPORAL = ("score", "lower", "upper", "p_shuffled")
# From this share of the trained network's score on, weights in random places do as well.
AS_GOOD = 0.9
ENCODING = ("score", "lower", "upper", "normalized")


def score_checkpoint(
    result: xr.Dataset, distances: xr.Dataset | None, n_spins: int, n_resamples: int, seed: int
) -> xr.Dataset:
    """All scores of one checkpoint, under names that do not collide."""
    best = score_best_layer(result)
    found = xr.Dataset(
        {
            "mean_score": result["mean_score"],
            "neuroid_score": best.mean([dim for dim in best.dims if dim == "time"]),
        }
    )
    said = ""
    encoded = encoding_score(result, n_resamples=n_resamples, seed=seed)
    for name in ENCODING:
        found[f"encoding_{name}"] = encoded[name]
    timed = "time" in result["mean_score"].dims
    if distances is not None:
        averaged = result.mean("time") if timed else result
        placed = spatial_score(
            averaged, distances, n_spins=n_spins, n_shuffles=n_spins, n_resamples=n_resamples,
            seed=seed,
            units=("neuroid", "roi") if "roi" in result.coords else ("neuroid",),
        )  # fmt: skip
        said = str(placed.attrs.get("warnings", ""))
        for name in SPATIAL:
            found[f"spatial_{name}"] = placed[name]
    if timed:
        dated = temporal_score(result, n_shuffles=n_spins, n_resamples=n_resamples, seed=seed)
        dated = dated.sel(statistic="pearson", drop=True).rename(rule="latency_rule")
        for name in TEMPORAL:
            found[f"temporal_{name}"] = dated[name]
        found["latency"] = dated["latency"]
    return found.drop_attrs().assign_attrs(warnings=said)


def time_courses(found: xr.Dataset, baseline: str) -> xr.DataArray:
    """Half-times of the scores themselves, as published: best layer, neuroids, Pearson."""
    courses = {"encoding": found["encoding_score"].sel(statistic="mean_of_best", drop=True)}
    if "spatial_score" in found:
        for kind in found["distance"].values.tolist():
            chosen = found["spatial_score"].sel(
                distance=kind, rule="best", unit="neuroid", drop=True
            )
            courses[f"spatial {kind}"] = chosen
    if "temporal_score" in found:
        chosen = found["temporal_score"].sel(latency_rule="peak", drop=True)
        courses["temporal"] = chosen
    # Where nothing is predicted there is no score yet.
    timed = [
        find_half_times(one.fillna(0.0), by=None, baseline=baseline) for one in courses.values()
    ]
    times = [float(one["half_time"][0]) for one in timed]
    return xr.DataArray(times, dims="course", coords={"course": list(courses)})


def judge(found: xr.Dataset) -> str:
    """Say how the scores went."""
    course = found["encoding_score"].sel(statistic="mean_of_best").values
    said = [f"{len(course)} checkpoints: encoding score goes from {course[0]:.3f} to "]
    said[0] += f"{course[-1]:.3f}"
    for name, time in zip(
        found["course"].values.tolist(), found["course_half_time"].values, strict=True
    ):
        said.append(
            f"the {name} score does not rise" if np.isnan(time)
            else f"the {name} score is above half of its end from step {time:.3g}, the first"
            if time == found["step"].values[0]
            else f"half of the {name} score at step {time:.3g}"
        )  # fmt: skip
    return "; ".join(said)


def collect_warnings(found: xr.Dataset, parts: Iterable[xr.Dataset], ceiling: str | None) -> str:
    """Say once what encoding, scores and half-times warned of, and what the whole gives away."""
    lines = [line for one in parts for line in str(one.attrs.get("warnings", "")).split("\n")]
    missing = int(np.isnan(found["ceiling"].values).sum())
    if ceiling is not None and missing:
        lines.append(
            f"ceiling: expected one for every neuroid from '{ceiling}', got none for {missing} of "
            f"{found['ceiling'].size}, as without repeated stimuli. They are not in "
            "encoding_normalized: pass a ceiling, or ceiling=None."
        )
    if "control_encoding" in found:
        own = float(found["encoding_score"].sel(statistic="mean_of_best")[-1])
        chance = float(found["control_encoding"].sel(statistic="mean_of_best"))
        if chance >= AS_GOOD * own:
            lines.append(
                f"control: expected the trained network to score above its weights in random "
                f"places, got {own:.3f} against {chance:.3f}. What it has learnt does not show in "
                "the encoding score: read it with baseline='first', or take finer responses."
            )
    return "\n".join(dict.fromkeys(filter(None, lines)))
