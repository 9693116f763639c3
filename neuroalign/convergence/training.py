"""How a model comes to resemble the brain while it learns: scores at checkpoints, half-times.

In: networks (or features) at training steps, stimuli, responses. Out: one Dataset, its tables, and,
with a folder, a file for every checkpoint from which an interrupted call goes on.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from tqdm import tqdm

from neuroalign import provenance
from neuroalign._arrays import copy_geometry
from neuroalign.convergence._checkpoints import Job, Request, do_job, sign_stimuli, sort_steps
from neuroalign.convergence._trace_scores import (
    collect_warnings,
    judge,
    score_checkpoint,
    time_courses,
)
from neuroalign.convergence._workers import run_jobs
from neuroalign.convergence.half_times import BASES, OVER, find_half_times
from neuroalign.encoders.ridge import Ridge
from neuroalign.errors import SchemaError, choose, some
from neuroalign.evaluate._ceilings import find_ceiling
from neuroalign.schema import check_estimate, check_responses

HALF = ("half_time", "lower", "upper", "relative", "final")


def trace(
    checkpoints: Mapping[float, Any],
    stimuli: Any,
    responses: xr.DataArray,
    layers: Any = "all",
    *,
    distances: xr.Dataset | None = None,
    encoder: Any = None,
    group: str | None = "run",
    n_splits: int | None = None,
    metric: str = "pearson",
    ceiling: str | xr.DataArray | None = "split_half",
    by: str | None = "roi",
    over: str = "neuroid",
    baseline: str = "zero",
    control: bool = True,
    pool: str | None = None,
    device: str = "cpu",
    n_spins: int = 200,
    n_resamples: int = 500,
    folder: Path | str | None = None,
    executor: str = "serial",
    workers: int = 2,
    address: str | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Follow encoding, spatial and temporal scores of a model over its training.

    Parameters
    ----------
    checkpoints : mapping of number to network, function, or mapping of layer to features
        Training step to a ``torch.nn.Module``; to a function without arguments that loads one, so
        that one is held at a time (`list_checkpoints` makes them of files); or to features of every
        stimulus, as ``features.extract`` gives.
    stimuli : mapping or DataArray
        As ``features.extract`` takes them; None with features.
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)
        Named by ``stimulus``.
    layers : str or sequence of str
        For networks, in order of depth; see ``features.extract``.
    distances : Dataset, optional
        Of `measure_distances`: brings the spatial score.
    encoder, group, n_splits, metric, ceiling
        See `encode_layers`.
    by, over, baseline : str
        Whose half-times, over what their interval draws, and what they rise from: see
        `find_half_times`. ``baseline="first"`` where random weights predict well already.
    control : bool
        Also encode from the last network with its weights in random places.
    pool, device : str
        See ``features.extract``.
    n_spins, n_resamples : int
        Draws of the nulls (rotations of the cortex, permutations of the layers), and of intervals.
    folder : path, optional
        Holds one file a checkpoint; the same call resumes there, whatever its executor. Features
        are known by their content; networks by their weights, their layers and the code of their
        classes; so are functions with a method ``sign`` that gives a text (those of
        `list_checkpoints`). Any other function is known by its step alone: use another folder for
        other weights.
    executor : {"serial", "processes", "dask"}
        Where checkpoints are encoded: one after another here, in processes of this machine, or on
        dask workers. All give the same bits at the same number of threads of linear algebra; the
        threads that this process may use are shared out among processes, and dask workers have one.
        Networks, features and functions are sent; scripts need ``if __name__ == "__main__":``.
    workers : int
        Processes, or dask workers where there is no address.
    address : str, optional
        Of a dask scheduler, whose workers see ``folder`` under the same path.
    seed : int
    progress : bool

    Returns
    -------
    Dataset
        ``mean_score`` (step, layer, neuroid[, time]) and ``ceiling``; ``neuroid_score``
        (step, fold, neuroid), each at the layer that is best for it in the other folds, averaged
        over time; ``encoding_*`` (step, statistic); with distances ``spatial_*`` (step, distance,
        rule, unit); with time ``temporal_*`` (step, latency_rule) and ``latency`` (step,
        latency_rule, layer); ``half_time``, ``half_time_lower``, ``half_time_upper``,
        ``half_time_relative``, ``half_time_final`` (region), the labels of ``by``;
        ``course_half_time`` (course) of the encoding score (``mean_of_best``), the spatial ones
        (rule ``best``, unit ``neuroid``) and the temporal one (rule ``peak``), without interval;
        ``control_encoding`` and ``control_spatial``. `tabulate_trace` lays it out.
        ``attrs['warnings']`` says where half-times, intervals or the ceiling mean little, and when
        the control scores as well as the trained network.

    Raises
    ------
    SchemaError, AlignError, ValueError, FileExistsError
    TypeError
        When a checkpoint cannot be sent to another process.
    NeuroalignError
        When two workers died with the same checkpoint: named, with the others on disk.
    MissingExtraError
        For ``executor="dask"`` without the extra ``dask``.

    References
    ----------
    Raugel et al. (2025), arXiv:2508.18226.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_neuroids=3, snr=9.0)
    >>> noise = data.features.copy(data=np.random.default_rng(1).normal(size=data.features.shape))
    >>> learnt = {
    ...     step: {"early": noise, "late": (1 - share) * noise + share * data.features}
    ...     for step, share in ((0, 0.0), (10, 0.5), (100, 1.0))
    ... }
    >>> course = trace(learnt, None, data.responses, by=None, ceiling=None, n_resamples=20)
    >>> 0 < float(course["half_time"].item()) < 10
    True
    """
    check_responses(responses)
    for name, value in (("n_spins", n_spins), ("n_resamples", n_resamples)):
        if value < 0:
            raise ValueError(f"{name}: expected 0 or more, got {value}. 0 spares it.")
    choose(BASES, baseline, "baseline")
    choose(OVER, over, "over")
    if by is not None and (by not in responses.coords or responses[by].dims != ("neuroid",)):
        raise SchemaError(
            f"by: expected a coord on 'neuroid' of responses, got '{by}' (there are "
            f"{some(responses.coords)}). Use by=None for all neuroids together."
        )
    steps = sort_steps(checkpoints)
    encoder = Ridge() if encoder is None else encoder
    top = find_ceiling(ceiling, responses, seed)
    usable = top if bool(top.notnull().any()) else None
    options: dict[str, Any] = {
        "group": group, "n_splits": n_splits, "metric": metric, "ceiling": usable, "seed": seed,
    }  # fmt: skip
    names = layers if isinstance(layers, str) else list(layers)
    said = {name: "" if one is None else str(one) for name, one in options.items()} | {
        "ceiling": ceiling if isinstance(ceiling, str) else type(ceiling).__name__,
        "encoder": " ".join(repr(encoder).split()),
        "layers": names,
        "pool": pool or "",
    }
    shown = {
        "stimuli": sign_stimuli(stimuli),
        "responses": provenance.hash_array(responses),
        "ceiling": provenance.hash_array(top),
    }
    request = Request(
        stimuli, responses, names, pool, device, encoder, options,
        None if folder is None else Path(folder), provenance.collect(said, shown),
    )  # fmt: skip
    jobs = {f"step-{step:g}": Job(f"step-{step:g}", checkpoints[step]) for step in steps}
    if control and not isinstance(checkpoints[steps[-1]], Mapping):
        jobs["control"] = Job("control", checkpoints[steps[-1]], seed)
    done = run_jobs(partial(do_job, request), jobs, executor, workers, address)
    known = dict(tqdm(done, desc="checkpoints", total=len(jobs), disable=not progress))
    results = [known[f"step-{step:g}"] for step in steps]
    _check_layers(results, steps)
    scored = [score_checkpoint(one, distances, n_spins, n_resamples, seed) for one in results]
    step_dim = xr.DataArray(np.array(steps, dtype=np.float64), dims="step", name="step")
    found = xr.concat(scored, step_dim, coords="minimal", compat="override", join="override")
    found["ceiling"] = top
    times = find_half_times(
        found["neuroid_score"], by=by, over=over, baseline=baseline, n_resamples=n_resamples,
        seed=seed,
    )  # fmt: skip
    for name in HALF:
        label = name if name == "half_time" else f"half_time_{name}"
        # Regions of half-times are no coord of neuroids, which may be called the same.
        found[label] = ("region", times[name].values)
    found = found.assign_coords(region=times[by or "all"].values.astype(str))
    found["course_half_time"] = time_courses(found, baseline)
    if known.get("control") is not None:
        chance = score_checkpoint(known["control"], distances, 0, n_resamples, seed)
        for name in ("encoding", "spatial", "temporal"):
            if f"{name}_score" in chance:
                found[f"control_{name}"] = chance[f"{name}_score"]
    found.attrs = {
        "kind": "estimate",
        "method": "trace",
        "metric": metric,
        "model": _name_model(checkpoints[steps[-1]]),
        "encoder": said["encoder"],
        "by": by or "all",
        "over": over,
        "baseline": baseline,
        "seed": seed,
        "n_steps": len(steps),
        "headline": "encoding_score",
        "verdict": judge(found),
        "history": str(results[-1].attrs.get("history", "")),
        "warnings": collect_warnings(
            found, [*results, *scored, times], None if ceiling is None else str(said["ceiling"])
        ),
        "provenance": provenance.collect(
            said | {
                "by": by or "", "over": over, "baseline": baseline, "control": control,
                "n_spins": n_spins, "n_resamples": n_resamples,
            },
            shown | {
                # What was encoded at each step is in what `encode_layers` said of it.
                f"step {step:g}": provenance.hash_array(np.array(one.attrs["provenance"]))
                for step, one in zip(steps, results, strict=True)
            } | {
                f"distances {name}": provenance.hash_array(one)
                for name, one in (distances if distances is not None else {}).items()
            },
        ),
    }  # fmt: skip
    for name in map(str, found.data_vars):
        if "neuroid" in found[name].dims:
            found[name] = copy_geometry(responses, found[name])
    return check_estimate(copy_geometry(responses, found))


def _name_model(checkpoint: Any) -> str:
    if isinstance(checkpoint, Mapping):
        return "features"
    held = checkpoint if hasattr(checkpoint, "state_dict") else getattr(checkpoint, "model", None)
    return "" if held is None else type(held).__name__


def _check_layers(results: list[xr.Dataset], steps: list[float]) -> None:
    wanted = results[0]["layer"].values.tolist()
    for result, step in zip(results, steps, strict=True):
        names = result["layer"].values.tolist()
        if names != wanted:
            raise SchemaError(
                f"checkpoints[{step:g}]: expected the layers {wanted} of the first, got {names}. "
                "Extract the same layers at each."
            )


def tabulate_trace(traced: xr.Dataset) -> dict[str, pd.DataFrame]:
    """Lay out what `trace` found as tables.

    Parameters
    ----------
    traced : Dataset

    Returns
    -------
    dict of str to DataFrame
        ``scores``: one row a step, one column a score. ``half_times``: one row a region, with its
        interval. ``courses``: the half-time of each score.

    Raises
    ------
    SchemaError

    Examples
    --------
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_neuroids=3)
    >>> layers = {"early": data.features[:, :9], "late": data.features}
    >>> found = trace({0: layers, 1: layers}, None, data.responses, by=None, n_resamples=5)
    >>> sorted(tabulate_trace(found))
    ['courses', 'half_times', 'scores']
    """
    if traced.attrs.get("method") != "trace":
        raise SchemaError(
            f"traced: expected a result of trace, got '{traced.attrs.get('method', '')}'. "
            "Call convergence.trace first."
        )
    columns = {}
    for name in ("encoding_score", "spatial_score", "temporal_score"):
        if name in traced:
            flat = traced[name].stack(which=[dim for dim in traced[name].dims if dim != "step"])
            for place, label in enumerate(flat["which"].values):
                parts = label if isinstance(label, tuple) else (label,)
                head = name.removesuffix("_score")
                columns[" ".join([head, *map(str, parts)])] = flat.values[:, place]
    scores = pd.DataFrame(columns, index=pd.Index(traced["step"].values, name="step"))
    by = str(traced.attrs["by"])
    rows = {
        label.removeprefix("half_time_"): traced[label].values
        for label in ("half_time", *(f"half_time_{name}" for name in HALF[1:]))
    }
    half_times = pd.DataFrame(rows, index=pd.Index(traced["region"].values, name=by))
    courses = traced["course_half_time"].to_series().to_frame("half_time")
    return {"scores": scores, "half_times": half_times, "courses": courses}
