"""Maps of many subjects: where they differ from zero, corrected for all places."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.sparse import csr_array, issparse, sparray, spmatrix

from neuroalign._arrays import copy_geometry
from neuroalign.errors import AlignError, SchemaError
from neuroalign.rsa._sentences import describe_group_map
from neuroalign.rsa.comparisons import fisher_z
from neuroalign.rsa.neighborhoods import neighbor_matrix
from neuroalign.stats.clusters import find_clusters

Array = npt.NDArray[Any]


def infer_group_map(
    maps: Mapping[str, xr.DataArray | xr.Dataset] | xr.DataArray,
    adjacency: sparray | spmatrix | xr.Dataset,
    *,
    chance: float = 0.0,
    fisher: bool = False,
    statistic: str = "tfce",
    threshold: float | None = None,
    tail: str = "greater",
    n_permutations: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Test over subjects where searchlight maps differ from chance, by flipping their signs.

    Parameters
    ----------
    maps : mapping of subject to DataArray or Dataset with ``score``, or DataArray
        Maps ([model,] neuroid) on common places, or one array with dim ``subject`` first. For a
        contrast of two models pass the differences of their maps.
    adjacency : scipy sparse array (neuroid, neuroid), or Dataset of `find_neighborhoods`
        Direct neighbours, as ``loaders.adjacency_of`` gives. Of neighbourhoods all places within
        their radius are neighbours, which joins clusters across gaps: for the voxels that share
        a side give ``find_neighborhoods(responses, 1, unit="voxel")``.
    chance : float
        Subtracted first.
    fisher : bool
        Transform correlations by atanh first.
    statistic, threshold, tail, n_permutations, seed
        As in ``stats.find_clusters``.

    Returns
    -------
    Dataset
        On ([model,] neuroid): ``mean`` (of what was tested, less chance), ``statistic`` (t; under
        ``tfce`` what enhancement makes of it), ``p_value``, corrected for
        all places of one model, not over models, and ``cluster``.
        Places that a subject lacks, or where all subjects are equal, are NaN (cluster 0).

    Raises
    ------
    AlignError
        When neuroids or models of subjects differ.
    SchemaError, ValueError

    Examples
    --------
    >>> from scipy.sparse import diags_array
    >>> rng = np.random.default_rng(0)
    >>> maps = {f"sub-{s}": xr.DataArray(rng.normal(size=5) + 3, dims="neuroid") for s in range(8)}
    >>> line = diags_array([np.ones(4), np.ones(4)], offsets=[-1, 1], shape=(5, 5))
    >>> bool((infer_group_map(maps, line)["p_value"] < 0.05).all())
    True
    """
    stack = _stack_maps(maps)
    if fisher:
        stack = fisher_z(stack)
        if np.isinf(stack.values).any():
            raise ValueError(
                "maps: expected correlations within -1 and 1 for fisher=True, got exact ones, "
                "whose z is infinite. Look at those places, or use fisher=False."
            )
    stack = stack - chance
    graph = _read_adjacency(adjacency, stack)
    n = stack.sizes["neuroid"]
    if graph.shape != (n, n):
        raise AlignError(
            f"adjacency: expected shape {(n, n)} as the neuroids of maps, got {graph.shape}. "
            "Take it from the same places."
        )
    options: dict[str, Any] = {
        "statistic": statistic,
        "threshold": threshold,
        "tail": tail,
        "n_permutations": n_permutations,
        "seed": seed,
    }
    if "model" not in stack.dims:
        result = _infer_one(stack, graph, options)
    else:
        parts = [
            _infer_one(stack.isel(model=i, drop=True), graph, options)
            for i in range(stack.sizes["model"])
        ]
        result = xr.concat(
            parts, xr.Variable("model", stack["model"].values), coords="minimal",
            compat="override", combine_attrs="drop_conflicts", join="exact",
        )  # fmt: skip
        result = result.assign_coords(model=stack["model"].values)
    result.attrs |= {"chance": float(chance), "fisher": int(fisher), "headline": "p_value"}
    result.attrs["verdict"] = describe_group_map(result)
    for name in result.data_vars:
        result[name] = copy_geometry(stack, result[name])
    return copy_geometry(stack, result)


def _read_adjacency(adjacency: Any, stack: xr.DataArray) -> csr_array:
    """Neighbours both ways, none of itself."""
    if not issparse(adjacency) and not isinstance(adjacency, xr.Dataset):
        raise SchemaError(
            "adjacency: expected a scipy sparse array (neuroid, neuroid) or what "
            f"find_neighborhoods returns, got {type(adjacency).__name__}. Take "
            "loaders.adjacency_of(responses)."
        )
    if not isinstance(adjacency, xr.Dataset):
        return csr_array(adjacency)
    named = stack if "neuroid" in stack.coords else None
    graph = neighbor_matrix(adjacency, named).astype(np.float64)
    # A neighbourhood that was left out still is in those of others.
    graph = csr_array(graph + graph.T)
    graph.setdiag(0)
    graph.eliminate_zeros()
    graph.data[:] = 1.0
    return graph


def _stack_maps(maps: Any) -> xr.DataArray:
    """Maps (subject, [model,] neuroid)."""
    if isinstance(maps, xr.DataArray):
        stack = maps
    elif isinstance(maps, Mapping) and len(maps):
        arrays = [one["score"] if isinstance(one, xr.Dataset) else one for one in maps.values()]
        first = arrays[0]
        for subject, one in zip(maps, arrays, strict=True):
            for dim in ("neuroid", "model"):
                same = dim not in first.coords or (
                    dim in one.coords and np.array_equal(one[dim].values, first[dim].values)
                )
                if one.dims != first.dims or one.shape != first.shape or not same:
                    raise AlignError(
                        f"maps['{subject}']: expected the {dim}s of the first subject "
                        f"{dict(first.sizes)}, got others {dict(one.sizes)}. Bring subjects into "
                        "one space first."
                    )
        values = np.stack([np.asarray(one.values, dtype=np.float64) for one in arrays])
        coords = {key: c for key, c in first.coords.items() if c.dims and key != "subject"}
        subjects = np.array(list(maps), dtype=np.str_)
        stack = xr.DataArray(
            values, {**coords, "subject": subjects}, ("subject", *first.dims), attrs=first.attrs
        )
    else:
        raise SchemaError(
            f"maps: expected a mapping of subject to map or a DataArray, got {type(maps).__name__}."
        )
    if stack.dims not in (("subject", "neuroid"), ("subject", "model", "neuroid")):
        raise SchemaError(
            f"maps: expected dims ('subject', ['model',] 'neuroid'), got {stack.dims}. Select or "
            "transpose them."
        )
    return stack


def _infer_one(stack: xr.DataArray, graph: csr_array, options: dict[str, Any]) -> xr.Dataset:
    """Test where all subjects have a map that varies; the rest is NaN."""
    values = stack.values
    usable = np.isfinite(values).all(axis=0) & ~(values == values[:1]).all(axis=0)
    places = np.flatnonzero(usable)
    if len(values) < 2:
        raise ValueError(
            f"maps: expected 2 subjects or more, got {len(values)}. One subject's map is tested by "
            "permuting its labels."
        )
    if not np.isfinite(values).all(axis=0).any():
        raise ValueError(
            f"maps: expected places where all {len(values)} subjects have a score, got none of "
            f"{values.shape[1]}. Look at their masks."
        )
    if not len(places):
        raise ValueError(
            f"maps: expected subjects whose scores differ, got {len(values)} equal maps. "
            "Is it one map, given several times?"
        )
    tested = find_clusters(stack.isel(neuroid=places), graph[places][:, places], **options)
    template = stack.isel(subject=0, drop=True).drop_attrs()
    columns = {"mean": stack.isel(neuroid=places).mean("subject")} | dict(tested.data_vars)
    made = {}
    for name, column in columns.items():
        empty = 0 if name == "cluster" else np.nan
        full = np.full(values.shape[1], empty, dtype=column.dtype)
        full[places] = column.values
        made[str(name)] = template.copy(data=full)
    return xr.Dataset(
        made, attrs=tested.attrs | {"method": f"infer_group_map {options['statistic']}"}
    )
