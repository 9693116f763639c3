"""Subjects together: where decoding generalises across time, by clusters of pairs of times."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy.sparse import diags_array

from neuroalign.errors import AlignError, SchemaError
from neuroalign.schema import check_generalization
from neuroalign.stats.clusters import find_clusters


def infer_across_time(
    results: Mapping[str, xr.Dataset],
    *,
    statistic: str = "cluster",
    threshold: float | None = None,
    tail: str = "greater",
    n_permutations: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Test over subjects where a code generalises from time to time, by flipping signs of maps.

    Parameters
    ----------
    results : mapping of subject to Dataset
        Of `decode_across_time`, with the same times, metric and chance.
    statistic, threshold, tail, n_permutations, seed
        As in ``stats.find_clusters``; times next to each other are neighbours, in training as in
        testing.

    Returns
    -------
    Dataset
        Of kind ``generalisation``, a subject in place of each fold: ``score`` (fold, neuroid,
        train_time, time), ``mean_score``, ``statistic``, ``p_value`` (of the cluster, corrected
        for all pairs of times) and ``cluster`` (neuroid, train_time, time).

    Raises
    ------
    AlignError
        When times differ between subjects.
    SchemaError, ValueError

    References
    ----------
    Maris & Oostenveld (2007), J. Neurosci. Methods 164, doi:10.1016/j.jneumeth.2007.03.024.

    Examples
    --------
    >>> from neuroalign.decoders import decode_across_time
    >>> from neuroalign.loaders import from_arrays
    >>> results = {}
    >>> for subject in range(6):
    ...     values = np.random.default_rng(subject).normal(size=(40, 5, 4))
    ...     values[::2, 0, 2:] += 2
    ...     shown = ["a", "b"] * 20
    ...     data = from_arrays(values, stimulus=shown, modality="eeg", time=[0, 0.1, 0.2, 0.3])
    ...     results[f"sub-{subject}"] = decode_across_time(data, group=None)
    >>> tested = infer_across_time(results, n_permutations=50)
    >>> bool((tested["p_value"][0, 2:, 2:] < 0.05).all())
    True
    """
    if len(results) < 2:
        raise ValueError(
            f"results: expected 2 subjects or more, got {len(results)}. Permute the labels of a "
            "single one: decode_across_time(..., n_permutations=1000)."
        )
    first = next(iter(results.values()))
    for subject, one in results.items():
        check_generalization(one, f"results['{subject}']")
        if one.sizes["neuroid"] != 1 or "mean_score" not in one:
            raise SchemaError(
                f"results['{subject}']: expected one score for all neuroids, got "
                f"{one.sizes['neuroid']}. Take it from decode_across_time."
            )
        for dim in ("train_time", "time"):
            same = one.sizes[dim] == first.sizes[dim] and (dim in one.coords) == (
                dim in first.coords
            )
            if not same or not np.allclose(one[dim].values, first[dim].values):
                raise AlignError(
                    f"results['{subject}']: expected the {dim} of the first subject, got others "
                    f"({one.sizes[dim]} against {first.sizes[dim]}). Resample before decoding."
                )
        for key in ("metric", "chance"):
            if one.attrs.get(key) != first.attrs.get(key):
                raise SchemaError(
                    f"results['{subject}']: expected {key} {first.attrs.get(key)!r} as in the "
                    f"first subject, got {one.attrs.get(key)!r}. Decode all alike."
                )
    chance = float(first.attrs["chance"])
    values = np.stack([one["mean_score"].values[0] for one in results.values()])
    # A time of training takes the part of a place; its neighbours are the next ones.
    n = values.shape[1]
    line = diags_array([np.ones(n - 1)] * 2, offsets=[-1, 1], shape=(n, n))
    tested = find_clusters(
        xr.DataArray(values - chance, dims=("subject", "neuroid", "time")), line,
        statistic=statistic, threshold=threshold, tail=tail, n_permutations=n_permutations,
        seed=seed,
    )  # fmt: skip
    dims = ("neuroid", "train_time", "time")
    columns = {"mean_score": values.mean(axis=0)}
    columns |= {str(name): column.values for name, column in tested.data_vars.items()}
    result = xr.Dataset(
        {"score": (("fold", *dims), values[:, None])}
        | {name: (dims, column[None]) for name, column in columns.items()},
        {"fold": list(map(str, results)), "neuroid": first["neuroid"].values},
    )
    result = result.assign_coords(
        {dim: first[dim].values for dim in ("train_time", "time") if dim in first.coords}
    )
    kept = {key: first.attrs[key] for key in ("metric", "model", "provenance", "target", "chance")}
    passed = int((columns["p_value"] < 0.05).sum())
    result.attrs = {
        **tested.attrs,
        **kept,
        "kind": "generalisation",
        "method": f"infer_across_time ({statistic})",
        "seed": seed,
        "verdict": (
            f"{passed} of {values[0].size} pairs of times lie in clusters above chance over "
            f"{len(values)} subjects (corrected p < 0.05)."
        ),
    }
    return check_generalization(result)
