"""What results of RSA say in one sentence, kept with them as ``attrs['verdict']``."""

import numpy as np
import numpy.typing as npt
import xarray as xr

ALPHA = 0.05
# Below it an effect is none, but for rounding.
TINY = 1e-12


def _finite(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def describe_partition(result: xr.Dataset) -> str:
    """Which model explains most alone, and what all explain together."""
    unique, whole = result["unique"], result["r2"].isel(subset=-1)
    means = unique.values.reshape(unique.shape[0], -1).mean(axis=1)
    best = int(means.argmax())
    # The last part is what all models have in common.
    common = float(result["shared"].isel(subset=-1).mean())
    over = f", mean over {whole.size} RDMs" if whole.size > 1 else ""
    return (
        f"'{result['model'].values[best]}' explains most alone: {100 * means[best]:.1f} % of the "
        f"variance, of {100 * float(whole.mean()):.1f} % by all {len(means)} models together"
        f"{over}; {100 * common:.1f} % is common to all of them. In-sample."
    )


def describe_generalization(result: xr.Dataset) -> str:
    """When a geometry is most reliable, and how alike it is at other times."""
    score = result["score"]
    across = score.mean([dim for dim in score.dims if dim not in ("time", "time_other")]).values
    same = np.diagonal(across)
    others = _finite(across[~np.eye(len(across), dtype=bool)])
    if not len(_finite(same)):
        return "No RDM varies: times cannot be compared."
    peak = int(np.nanargmax(same))
    when = f"{float(result['time'][peak]):.3g} s" if "time" in result.coords else f"sample {peak}"
    text = (
        f"RDMs of different units are most alike at {when} "
        f"({result.attrs['metric']} {same[peak]:.3f})"
    )
    return (
        f"{text}; between different times {others.mean():.3f} on average."
        if len(others)
        else f"{text}."
    )


def describe_reliability(result: xr.Dataset) -> str:
    """How reliable RDMs are, or how far that goes from slice to slice."""
    values = _finite(result["reliability"].values)
    if not len(values):
        return "No reliability: RDMs do not vary."
    if result["reliability"].size > 1:
        return (
            f"Reliability of RDMs {np.median(values):.3f} at the median of {len(values)} "
            f"({values.min():.3f} to {values.max():.3f})."
        )
    text = f"Reliability of the RDM {values[0]:.3f}"
    if "lower" not in result:
        return f"{text}."
    level = 100 * float(result.attrs["level"])
    low, high = float(result["lower"]), float(result["upper"])
    return f"{text} ({level:g} % interval over conditions {low:.3f} to {high:.3f})."


def describe_ceiling(result: xr.Dataset, method: str) -> str:
    """Between which values the best model can be."""
    ends = [_finite(result[f"ceiling_{end}"].values) for end in ("lower", "upper")]
    if not all(map(len, ends)):
        return "No noise ceiling: RDMs do not vary."
    low, high = (float(np.median(one)) for one in ends)
    n = result["ceiling_lower"].size
    over = f" at the median of {n} slices" if n > 1 else ""
    return (
        f"The true model would reach a {method} of {low:.3f} to {high:.3f}{over}, "
        f"by {result.attrs['n_subjects']} subjects."
    )


def describe_neighborhoods(result: xr.Dataset) -> str:
    """How many neighbourhoods there are, and how large."""
    size = result["size"].values
    kept = size[size > 0]
    if not len(kept):
        return f"No neighbourhood is large enough among {len(size)} places."
    return (
        f"{len(kept)} neighbourhoods of {kept.min()} to {kept.max()} places (median "
        f"{np.median(kept):g}) within {result.attrs['radius']:g} {result.attrs['unit']}; "
        f"{len(size) - len(kept)} left out."
    )


def _name_peak(values: xr.DataArray) -> str:
    place = int(np.nanargmax(values.values))
    name = values["neuroid"].values[place] if "neuroid" in values.coords else place
    return f"{float(values.values[place]):.3f} at {name}"


def _list_models(array: xr.DataArray) -> list[tuple[str, xr.DataArray]]:
    if "model" not in array.dims:
        return [("", array)]
    return [(f"'{m}' ", array.isel(model=k)) for k, m in enumerate(array["model"].values.tolist())]


def describe_searchlight(result: xr.Dataset) -> str:
    """Where each of the first three models is highest."""
    said = []
    for name, one in _list_models(result["score"]):
        if np.isfinite(one.values).any():
            said.append(f"{name}up to {_name_peak(one)}")
    if not said:
        return "No place has a score."
    n = int(np.isfinite(result["score"].values).any(axis=0).sum())
    more = f" and {_count(len(said) - 3, 'more model')}" if len(said) > 3 else ""
    text = f"Searchlight ({result.attrs['metric']}): {', '.join(said[:3])}{more}"
    return f"{text}; {n} of {result.sizes['neuroid']} places have a score."


def describe_group_map(result: xr.Dataset) -> str:
    """In how many places each of the first three models passes."""
    said = []
    for name, p in _list_models(result["p_value"]):
        n_tested = len(_finite(p.values))
        n_passed = int((p.values < ALPHA).sum())
        said.append(f"{name}{n_passed} of {n_tested} places")
    more = f" and {_count(len(said) - 3, 'more model')}" if len(said) > 3 else ""
    return (
        f"Differs from {result.attrs['chance']:g} at corrected p < {ALPHA:g} in: "
        f"{', '.join(said[:3])}{more}."
    )


def describe_subjects(result: xr.Dataset) -> str:
    """Whether subjects who are alike in one are alike in the other."""
    score, p = result["score"], result["p_fwer"]
    known = _finite(score.values)
    metric, n = result.attrs["metric"], result.attrs["n_subjects"]
    if not len(known):
        return "No RDM of subjects varies."
    if score.size > 1:
        return (
            f"{int((p.values < ALPHA).sum())} of {score.size} RDMs of {n} subjects are related to "
            f"the other at corrected p < {ALPHA:g}; largest {metric} {known.max():.3f}."
        )
    told = float(p.values.reshape(-1)[0])
    least = "< .001" if told < 0.001 else f"= {told:.3f}"
    return (
        f"Subjects alike in one RDM are alike in the other to {metric} {known[0]:.3f} "
        f"(p {least}, {n} subjects)."
    )
