"""Clusters of neighbouring places, and of neighbouring times, that differ from zero."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.sparse import coo_array, csr_array, sparray, spmatrix

from neuroalign._arrays import copy_geometry
from neuroalign.errors import AlignError, SchemaError, choose, require

mne: Any = require("mne", "meg")
Array = npt.NDArray[Any]
TAILS = {"greater": 1, "less": -1, "two-sided": 0}
# Height and extent of Smith & Nichols come with mne; the steps are t values.
TFCE = {"start": 0.0, "step": 0.2}
STATISTICS = {"cluster": None, "tfce": TFCE}


def find_clusters(
    values: xr.DataArray,
    adjacency: sparray | spmatrix | None = None,
    *,
    statistic: str = "cluster",
    threshold: float | None = None,
    tail: str = "greater",
    n_permutations: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Test over subjects where a map differs from zero, by flipping signs of whole maps.

    Parameters
    ----------
    values : DataArray (subject, neuroid) or (subject, neuroid, time)
        One map a subject (or another independent unit on the first dim), on common places: scores
        less chance, or differences of two models.
    adjacency : scipy sparse array (neuroid, neuroid), optional
        Neighbours, as ``loaders.adjacency_of`` gives for voxels, vertices and both. Neighbouring
        times are neighbours too. None, for courses only: no two neuroids are neighbours.
    statistic : {"cluster", "tfce"}
        Mass of clusters above a threshold, or threshold-free enhancement, which needs none and
        gives every place a p value of its own.
    threshold : float or None
        ``|t|`` that forms clusters; None: two-sided or one-sided p = 0.05 by the t distribution.
        Not for ``tfce``.
    tail : {"greater", "less", "two-sided"}
    n_permutations : int
        All 2^n sign flips when there are no more.
    seed : int

    Returns
    -------
    Dataset
        ``statistic``, t over subjects, under ``tfce`` t enhanced by its neighbours (without unit,
        with the sign of t); ``p_value``, corrected for all places and times: of the
        cluster a place belongs to (1 in none), or of the place under ``tfce``; ``cluster``,
        its number from 1, 0 in none (all 0 under ``tfce``). A p value of a cluster says that
        there is something, not that each of its places differs.

    Raises
    ------
    SchemaError, AlignError, ValueError

    References
    ----------
    Maris & Oostenveld (2007), J. Neurosci. Methods 164, doi:10.1016/j.jneumeth.2007.03.024;
    Smith & Nichols (2009), NeuroImage 44, doi:10.1016/j.neuroimage.2008.03.061.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from scipy.sparse import diags_array
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.normal(size=(12, 20))  # people, places on a line
    >>> maps[:, 5:9] += 2
    >>> line = diags_array([np.ones(19), np.ones(19)], offsets=[-1, 1])
    >>> values = xr.DataArray(maps, dims=("subject", "neuroid"))
    >>> found = find_clusters(values, line, n_permutations=200)
    >>> np.flatnonzero(found["p_value"].values < 0.05).tolist()
    [5, 6, 7, 8]
    """
    enhance = choose(STATISTICS, statistic, "statistic")
    side = choose(TAILS, tail, "tail")
    if adjacency is None and "time" in values.dims:
        adjacency = csr_array((values.sizes["neuroid"],) * 2)
    bare = _check(values, adjacency, n_permutations)
    if enhance is not None and threshold is not None:
        raise ValueError(
            f"threshold: expected None under statistic 'tfce', got {threshold}. Drop it."
        )
    if threshold is not None and not threshold > 0:
        raise ValueError(
            f"threshold: expected |t| above 0, got {threshold}. The tail gives its sign."
        )
    n_times = bare.shape[1]
    space = _as_pairs(adjacency)
    graph = mne.stats.combine_adjacency(n_times, space) if n_times > 1 else space
    # The lower tail of a map is the upper one of its negative; mne has no TFCE of lower tails.
    sign = -1.0 if side < 0 else 1.0
    # Not by verbose=, which comes too late for what newer versions say of seeds.
    with mne.utils.use_log_level("ERROR"):
        t, clusters, cluster_p, null = mne.stats.permutation_cluster_1samp_test(
            sign * bare.reshape(len(bare), -1),
            threshold=enhance if threshold is None else threshold,
            n_permutations=n_permutations,
            tail=abs(side),
            adjacency=graph,
            out_type="indices",
            n_jobs=1,
            seed=seed,
            buffer_size=None,
        )
    number, p_value = np.zeros(t.size, dtype=np.int64), np.ones(t.size)
    if enhance is not None:
        p_value = np.asarray(cluster_p, dtype=np.float64).reshape(t.size)
    else:
        for label, (members, p) in enumerate(zip(clusters, cluster_p, strict=True), start=1):
            number[members[0]], p_value[members[0]] = label, p
    template = copy_geometry(values, values.isel({values.dims[0]: 0}, drop=True).drop_attrs())
    columns = {"statistic": sign * t, "p_value": p_value, "cluster": number}
    result = xr.Dataset(
        {
            name: template.copy(
                data=np.moveaxis(column.reshape(n_times, -1), 0, -1).reshape(template.shape)
            )
            for name, column in columns.items()
        },
        attrs={
            "kind": "estimate",
            "method": f"find_clusters ({statistic})",
            "tail": tail,
            "threshold": "" if threshold is None else float(threshold),
            "n_units": len(bare),
            "n_clusters": 0 if enhance is not None else len(clusters),
            "n_permutations": len(null),
            "seed": seed,
        },
    )
    return copy_geometry(values, result)


def _check(values: xr.DataArray, adjacency: Any, n_permutations: int) -> Array:
    """Check the maps and their neighbours; give (unit, time, neuroid)."""
    if values.dims[1:] not in (("neuroid",), ("neuroid", "time")):
        raise SchemaError(
            f"values: expected dims ('subject', 'neuroid'[, 'time']), got {values.dims}. "
            "Stack one map a subject."
        )
    if len(values) < 2:
        raise ValueError(
            f"values: expected at least 2 {values.dims[0]}s, got {len(values)}. Signs of one map "
            "say nothing; permute its responses in evaluate.cross_validate."
        )
    if n_permutations < 1:
        raise ValueError(
            f"n_permutations: expected at least 1, got {n_permutations}. 1000 is usual."
        )
    n = values.sizes["neuroid"]
    if adjacency is None:
        raise AlignError(
            f"adjacency: expected which of {n} neuroids are neighbours, got None. Take it from "
            "loaders.adjacency_of."
        )
    if adjacency.shape != (n, n):
        raise AlignError(
            f"adjacency: expected shape {(n, n)} as the neuroids of values, got "
            f"{adjacency.shape}. Take it from the same places."
        )
    bare = np.asarray(values.values, dtype=np.float64)
    if not np.isfinite(bare).all():
        raise ValueError(
            "values: expected finite maps, got NaN or infinite values. Drop the neuroids without "
            "a score in any subject, and their rows and columns of adjacency."
        )
    still = (bare == bare[:1]).all(axis=0)
    if still.any():
        raise ValueError(
            f"values: expected places that vary over {values.dims[0]}s, got {int(still.sum())} "
            "that do not and so have no t. Drop those, and their rows and columns of adjacency."
        )
    if bare.ndim == 2:
        return bare[:, None]
    return np.moveaxis(bare, 2, 1)


def _as_pairs(adjacency: Any) -> Any:
    """Give a coo matrix of 1 without the diagonal, which mne wants."""
    pairs = coo_array(csr_array(adjacency))
    apart = pairs.row != pairs.col
    ones = np.ones(int(apart.sum()))
    return coo_array((ones, (pairs.row[apart], pairs.col[apart])), shape=adjacency.shape)
