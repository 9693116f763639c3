"""Decoding around each place: a map of where classes can be told apart."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign._arrays import copy_geometry
from neuroalign._chunks import cut_targets, size_chunk
from neuroalign.decoders._batched import decide
from neuroalign.decoders._classifiers import Sizes, make_classifier, name_classifier
from neuroalign.decoders._confusion import balance, count_confusion
from neuroalign.decoders._labels import (
    Task,
    check_permutations,
    check_time,
    permute_codes,
    read_task,
)
from neuroalign.rsa._chunk_runs import fill_chunks
from neuroalign.rsa.neighborhoods import neighbor_matrix
from neuroalign.schema import SCHEMA_VERSION
from neuroalign.stats.multiple import fdr
from neuroalign.stats.permutations import count_reached, max_statistic, permutation_p

Array = npt.NDArray[Any]
# Centers of one chunk when nobody says; a chunk is what an interruption costs.
CHUNK = 1024
# Bytes of responses gathered at once, so that what is made of them stays in the cache.
GATHERED = 1 << 21


@dataclass(frozen=True)
class Light:
    """What each chunk of centres needs: rows (neuroid, sample), neighbours, labels."""

    rows: Array
    indices: Array
    indptr: Array
    parts: list[slice]
    task: Task
    labels: Array
    classifier: Any
    sizes: Sizes


def decode_searchlight(
    responses: xr.DataArray,
    neighbors: Any,
    target: Any = "stimulus",
    *,
    group: str | None = "run",
    classifier: Any = "lda",
    n_splits: int | None = None,
    cv: Any = None,
    n_permutations: int = 0,
    store: Path | str | None = None,
    batch: int | None = None,
    memory: int = 1 << 30,
    seed: int = 0,
    n_jobs: int = 1,
    client: Any = None,
    progress: bool = False,
) -> xr.Dataset:
    """Tell classes apart from every neighbourhood, with the same folds everywhere.

    Parameters
    ----------
    responses : DataArray (sample, neuroid)
    neighbors : Dataset of `neuroalign.rsa.find_neighborhoods`, or sparse array (neuroid, neuroid)
    target, group, n_splits, cv
        As in `decode_classes`.
    classifier : {"lda", "nearest_centroid", "logistic", "svm"}, or scikit-learn classifier
        The first two are solved for many neighbourhoods at once, and equal scikit-learn's; others
        are fitted one by one.
    n_permutations : int
        Labels are permuted as in `decode_classes`, the same for all places. Each permutation
        costs as much as the map.
    store : path, optional
        A folder that keeps each chunk as it is done. An interrupted call with the same arguments
        goes on there, and ends with the same bits. A classifier of your own is known by its
        ``repr``.
    batch : int, optional
        Centers of one chunk; found from ``memory`` [bytes a process] when not given.
    seed : int
    n_jobs : int
        Processes; -1 for all CPUs. Each has one thread of linear algebra.
    client : dask.distributed.Client, optional
        Its workers do the chunks instead.
    progress : bool

    Returns
    -------
    Dataset
        ``score`` (neuroid), balanced accuracy over all folds, NaN where there is no
        neighbourhood; ``chance``; ``size`` (neuroid). With permutations ``p_value``, ``q_value``
        (false discovery rate) and ``p_fwer`` (max statistic over the map). Places are kept for
        ``loaders.to_nifti`` and ``to_gifti``.

    Raises
    ------
    LeakageError, SchemaError, AlignError, ValueError, MemoryError, FileExistsError

    Notes
    -----
    For several subjects, test their maps together with clusters or TFCE:
    ``rsa.infer_group_map({subject: result["score"]}, adjacency, chance=result.attrs["chance"])``.
    A place scores high when anything within its radius does: it is the center of information,
    not its seat (Etzel et al. 2013).

    References
    ----------
    Kriegeskorte, Goebel & Bandettini (2006), PNAS 103, doi:10.1073/pnas.0600244103.
    Etzel, Zacks & Braver (2013), NeuroImage 78, doi:10.1016/j.neuroimage.2013.03.041.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> from neuroalign.rsa import find_neighborhoods
    >>> rng = np.random.default_rng(0)
    >>> values = rng.normal(size=(40, 30))
    >>> values[::2, :3] += 2
    >>> runs = np.repeat(["r1", "r2", "r3", "r4"], 10)
    >>> data = from_arrays(values, stimulus=["a", "b"] * 20, run=runs, modality="fmri")
    >>> data = data.assign_coords(x=("neuroid", np.arange(30)), y=("neuroid", np.zeros(30)),
    ...                           z=("neuroid", np.zeros(30)))
    >>> result = decode_searchlight(data, find_neighborhoods(data, 1))
    >>> int(result["score"].values.argmax()) <= 2
    True
    """
    task = read_task(responses, target, group, n_splits, cv, seed)
    check_time(responses, wanted=False)
    check_permutations(task, n_permutations)
    make_classifier(classifier, Sizes(len(task.classes), 1, seed))
    members = neighbor_matrix(neighbors, responses)
    size = np.diff(members.indptr)
    labels = np.stack(
        [task.codes, *(permute_codes(task, seed, number) for number in range(n_permutations))]
    )
    rows = np.ascontiguousarray(responses.values.T, dtype=np.float64)
    per_center = 8 * (int(size.max(initial=1)) * len(task.codes) + len(labels))
    chunk = batch or min(CHUNK, size_chunk(len(size), rows.nbytes, per_center, memory))
    light = Light(
        rows, members.indices.astype(np.intp), members.indptr.astype(np.intp),
        cut_targets(len(size), chunk), task, labels, classifier,
        Sizes(len(task.classes), 1, seed),
    )  # fmt: skip
    name = target if isinstance(target, str) else "target"
    record = provenance.collect(
        {
            "target": name, "group": group or "", "classifier": name_classifier(classifier),
            "n_permutations": n_permutations, "seed": seed,
        },
        {
            "responses": provenance.hash_array(responses),
            "neighbors": provenance.hash_array(np.concatenate([members.indptr, members.indices])),
            "labels": provenance.hash_array(labels),
            "folds": provenance.hash_array(np.concatenate([np.r_[-1, b] for _, b in task.folds])),
            "trained": provenance.hash_array(np.concatenate([np.r_[-1, a] for a, _ in task.folds])),
        },
    )  # fmt: skip
    filled = fill_chunks(
        _work, light, light.parts, {"score": len(labels)}, chunk=chunk, store=store, key=record,
        n_jobs=n_jobs, client=client, progress=progress,
    )  # fmt: skip
    scores = np.asarray(filled["score"])
    result = _tabulate(responses, scores, task)
    result["size"] = ("neuroid", size)
    result.attrs |= {
        "kind": "estimate",
        "method": "decode_searchlight",
        "metric": "balanced_accuracy",
        "model": name_classifier(classifier),
        "target": name,
        "group": group or "",
        "chance": task.chance,
        "seed": seed,
        "n_samples": len(responses),
        "n_permutations": n_permutations,
        "schema_version": SCHEMA_VERSION,
        "warnings": "\n".join(task.notes),
        "provenance": record,
        "headline": "score",
    }
    result.attrs["verdict"] = _describe(result)
    return copy_geometry(responses, result)


def _work(light: Light, number: int) -> dict[str, Array]:
    """Scores (labelling, center) of one chunk; neighbourhoods of one size in one stack."""
    part = light.parts[number]
    starts = light.indptr[part.start : part.stop + 1]
    sizes = np.diff(starts)
    score = np.full((len(light.labels), len(sizes)), np.nan)
    for size in np.unique(sizes[sizes > 0]):
        alike = np.flatnonzero(sizes == size)
        step = max(1, GATHERED // (int(size) * light.rows[0].nbytes))
        for begin in range(0, len(alike), step):
            places = alike[begin : begin + step]
            members = light.indices[starts[places][:, None] + np.arange(size)]
            stack = np.ascontiguousarray(light.rows[members].swapaxes(1, 2))
            score[:, places] = _score_stack(light, stack)
    return {"score": score}


def _score_stack(light: Light, stack: Array) -> Array:
    """Balanced accuracy (labelling, center) of a stack (center, sample, member)."""
    sizes = light.sizes._replace(n_columns=stack.shape[2])
    k = sizes.n_classes
    confusion = np.zeros((len(light.labels), len(stack), k, k), dtype=np.int64)
    for train, test in light.task.folds:
        known, asked = stack[:, train], stack[:, test]
        for row, codes in enumerate(light.labels):
            scores = decide(light.classifier, known, codes[train], asked, sizes)
            confusion[row] += count_confusion(codes[test], scores.argmax(axis=2), k)
    return balance(confusion)


def _tabulate(responses: xr.DataArray, scores: Array, task: Task) -> xr.Dataset:
    """Label the map, and test it against the maps of permuted labels."""
    coords = {key: c for key, c in responses.coords.items() if c.dims == ("neuroid",)}
    observed, null = scores[0], scores[1:]
    columns = {"score": observed}
    if len(null):
        p_value = permutation_p(count_reached(null, observed)[0], observed, len(null))
        columns |= {
            "p_value": p_value,
            "q_value": fdr(p_value),
            "p_fwer": max_statistic(observed, null),
            "null_mean": null.mean(axis=0),
        }
    placed = {
        name: copy_geometry(responses, xr.DataArray(column, coords, ("neuroid",)))
        for name, column in columns.items()
    }
    return xr.Dataset({**placed, "chance": ((), np.float64(task.chance))})


def _describe(result: xr.Dataset) -> str:
    """One sentence: the best place, against chance, and how many pass."""
    score = result["score"].values
    known = np.isfinite(score)
    if not known.any():
        return "No place has a neighbourhood."
    best = int(np.nanargmax(score))
    text = (
        f"Balanced accuracy of '{result.attrs['target']}' peaks at {score[best]:.3f} around "
        f"'{result['neuroid'].values[best]}' (median of {int(known.sum())} places "
        f"{np.median(score[known]):.3f}, chance {result.attrs['chance']:.3f})"
    )
    if "q_value" in result:
        text += (
            f"; {int((result['q_value'].values < 0.05).sum())} places pass q < 0.05, "
            f"{int((result['p_fwer'].values < 0.05).sum())} p < 0.05 corrected for the map"
        )
    return text + "."
