"""A null for correlations of cortical maps that keeps how smooth they are: spins of the sphere."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from neuroalign import provenance
from neuroalign.convergence._correlation import (
    correlate_maps,
    count_two_sided,
    naive_p,
)
from neuroalign.errors import AlignError, SchemaError, choose
from neuroalign.loaders.surface import MESHES
from neuroalign.schema import check_estimate

Array = npt.NDArray[Any]
SIDES = ("L", "R")


def read_places(array: xr.DataArray | xr.Dataset, mesh: str, name: str) -> Array:
    """Give the row of each neuroid among all vertices, left then right.

    Raises
    ------
    SchemaError
        When neuroids are no vertices of the mesh.
    """
    missing = {"hemisphere", "vertex"} - set(map(str, array.coords))
    if missing:
        raise SchemaError(
            f"{name}: expected coords 'hemisphere' and 'vertex' on 'neuroid', missing "
            f"{sorted(missing)}. Project volumes with loaders.project_to_surface."
        )
    hemisphere, vertex = array["hemisphere"].values, array["vertex"].values.astype(np.int64)
    counts = [len(one[0]) for one in choose(MESHES, mesh, "mesh")("sphere") if one is not None]
    known = np.isin(hemisphere, SIDES) & (vertex >= 0) & (vertex < min(counts))
    if not known.all():
        raise SchemaError(
            f"{name}: expected vertices 0 to {min(counts) - 1} of {mesh} in 'L' or 'R', got "
            f"{int((~known).sum())} others. Select the vertices, or name their mesh."
        )
    places: Array = vertex + counts[0] * (hemisphere == "R")
    return places


def spread_map(brain_map: xr.DataArray, mesh: str, name: str) -> Array:
    """Lay a map out on all vertices, left then right, NaN where it has no value."""
    parts = choose(MESHES, mesh, "mesh")("sphere")
    n_vertices = sum(len(one[0]) for one in parts if one is not None)
    full = np.full(n_vertices, np.nan)
    full[read_places(brain_map, mesh, name)] = brain_map.values
    return full


def draw_spins(places: Array, n_spins: int, seed: int, mesh: str = "fsaverage5") -> Array:
    """Rotate the cortex at random, and say which vertex comes to lie at each place.

    Parameters
    ----------
    places : array of int (place,)
        Rows among all vertices, left then right.
    n_spins : int
    seed : int
    mesh : str

    Returns
    -------
    array of int (n_spins, place)
        Both hemispheres turn alike, the right one mirrored; hemispheres keep to themselves.
    """
    spheres = [one[0] for one in choose(MESHES, mesh, "mesh")("sphere") if one is not None]
    trees, start = [cKDTree(one) for one in spheres], len(spheres[0])
    right = places >= start
    points = [spheres[0][places[~right]], spheres[1][places[right] - start]]
    mirror = np.diag([-1.0, 1.0, 1.0])
    found = np.empty((n_spins, len(places)), dtype=np.int32)
    turns = Rotation.random(n_spins, rng=np.random.default_rng(seed)).as_matrix()
    for row, turn in enumerate(turns):
        found[row, ~right] = trees[0].query(points[0] @ turn.T)[1]
        found[row, right] = start + trees[1].query(points[1] @ (mirror @ turn @ mirror).T)[1]
    return found


def spin_test(
    values: xr.DataArray,
    brain_map: xr.DataArray,
    *,
    n_spins: int = 1000,
    mesh: str = "fsaverage5",
    seed: int = 0,
) -> xr.Dataset:
    """Correlate maps of neuroids with a map of the cortex, against random rotations of the latter.

    Parameters
    ----------
    values : DataArray (neuroid,) or (map, neuroid)
        With ``hemisphere`` and ``vertex``; any part of the cortex.
    brain_map : DataArray (neuroid,)
        On as many vertices as are known, such as one of ``loaders.load_cortical_maps``: what lies
        beyond ``values`` is turned into their place. NaN, as on the medial wall, is left out of
        each rotation.
    n_spins : int
    mesh : str
    seed : int

    Returns
    -------
    Dataset
        ``score``, Pearson r; ``p_value``, two-sided, by spins; ``p_naive``, of a test that takes
        every vertex for independent; ``null_mean``, ``null_sd``; over ``map`` if there is one.
        ``n_places`` and ``mean_share_known`` tell how many places spins left with a value.

    Raises
    ------
    AlignError, SchemaError, ValueError

    Notes
    -----
    Rotations keep the autocorrelation of a map and break its place. They take the folded cortex
    for a sphere, and they put the medial wall into the data, where values are lost: with much of
    the cortex missing from ``brain_map`` the null rests on fewer places than the observed value.

    References
    ----------
    Alexander-Bloch et al. (2018), NeuroImage 178, 540-551, doi:10.1016/j.neuroimage.2018.05.070;
    Markello & Misic (2021), NeuroImage 236, 118052, on NaN of the medial wall.

    Examples
    --------
    >>> from neuroalign.loaders import load_cortical_maps
    >>> maps = load_cortical_maps(("thickness", "sulcal_depth")).isel(neuroid=slice(None, None, 40))
    >>> known = maps["thickness"].dropna("neuroid")
    >>> tested = spin_test(known, maps["sulcal_depth"], n_spins=19)
    >>> bool(tested["p_naive"] <= tested["p_value"])
    True
    """
    if n_spins < 1:
        raise ValueError(f"n_spins: expected at least 1, got {n_spins}. 1000 is usual.")
    for name, one in (("values", values), ("brain_map", brain_map)):
        if not isinstance(one, xr.DataArray):
            raise SchemaError(
                f"{name}: expected a DataArray with dim 'neuroid', got {type(one).__name__}. "
                "Select one of its variables."
            )
    if values.dims[-1:] != ("neuroid",) or values.ndim > 2 or brain_map.dims != ("neuroid",):
        raise SchemaError(
            f"values: expected dims ('neuroid',) or ('map', 'neuroid') and a brain_map of "
            f"('neuroid',), got {values.dims} and {brain_map.dims}. Average over the others."
        )
    bare = np.atleast_2d(np.asarray(values.values, dtype=np.float64))
    if not np.isfinite(bare).all():
        raise AlignError(
            f"values: expected finite numbers, got {int((~np.isfinite(bare)).sum())} others. "
            "Use values.dropna('neuroid')."
        )
    places = read_places(values, mesh, "values")
    full = spread_map(brain_map, mesh, "brain_map")
    null = correlate_maps(bare, full[draw_spins(places, n_spins, seed, mesh)])
    observed = correlate_maps(bare, full[places][None])[0]
    columns = {
        "score": observed,
        "p_value": [count_two_sided(r, null[:, row]) for row, r in enumerate(observed)],
        "p_naive": [naive_p(row, full[places]) for row in bare],
        "null_mean": np.nanmean(null, axis=0),
        "null_sd": np.nanstd(null, axis=0),
    }
    dims = values.dims[:-1]
    lead = {key: one for key, one in values.coords.items() if one.dims == dims and dims}
    result = xr.Dataset(
        {name: (dims, np.reshape(column, values.shape[:-1])) for name, column in columns.items()},
        coords=lead,
        attrs={
            "kind": "estimate",
            "method": "spin_test",
            "metric": "pearson",
            "n_spins": n_spins,
            "n_places": len(places),
            "seed": seed,
            "provenance": provenance.collect(
                {"n_spins": n_spins, "mesh": mesh, "seed": seed},
                {
                    "values": provenance.hash_array(values),
                    "brain_map": provenance.hash_array(brain_map),
                },
            ),
        },
    )
    return check_estimate(result)
