"""Maps of the cortex to hold results against: thickness, area, curvature, sulcal depth, more."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.errors import choose, require
from neuroalign.loaders.gifti import HEMISPHERES, SIDES

datasets: Any = require("nilearn.datasets", "fmri")
surface: Any = require("nilearn.surface", "fmri")
Array = npt.NDArray[Any]
# Average cortex is thicker than this everywhere; below it lies the medial wall.
THINNEST_MM = 1.0
# Name -> key of nilearn's files, and unit.
INSTALLED = {
    "thickness": ("thick", "mm"),
    "area": ("area", "mm2"),
    "curvature": ("curv", "1/mm"),
    "sulcal_depth": ("sulc", "a.u."),
}
# Name -> source, desc, space and density of neuromaps.
ANNOTATIONS = {
    "expansion": ("hill2010", "evoexp", "fsLR", "164k"),
    "myelin": ("hcps1200", "myelinmap", "fsLR", "32k"),
    "timescale": ("hcps1200", "megtimescale", "fsLR", "4k"),
}


def load_cortical_maps(
    names: tuple[str, ...] = ("thickness", "area", "curvature", "sulcal_depth"),
) -> xr.Dataset:
    """Load maps of the average cortex on fsaverage5.

    Parameters
    ----------
    names : tuple of str
        ``thickness`` [mm], ``area`` [mm2], ``curvature`` and ``sulcal_depth``, which nilearn brings
        along; ``expansion`` (Hill et al. 2010), ``myelin`` (T1w/T2w) and ``timescale``, which
        neuromaps downloads and brings to the mesh.

    Returns
    -------
    Dataset
        Each map (neuroid), NaN on the medial wall (thinner than 1 mm); neuroids are all vertices of
        the left, then of the right hemisphere, with ``hemisphere``, ``vertex`` and x y z [mm] of
        the pial surface.

    Raises
    ------
    MissingExtraError
        When nilearn, or neuromaps for its maps, is not installed.
    ValueError
        For an unknown name.

    Examples
    --------
    >>> maps = load_cortical_maps(("thickness",))
    >>> maps.sizes["neuroid"], bool((maps["thickness"].dropna("neuroid") > 1).all())
    (20484, True)
    """
    places = datasets.load_fsaverage("fsaverage5")["pial"].parts
    xyz = [np.asarray(places[SIDES[side]].coordinates) for side in HEMISPHERES]
    counts = [len(one) for one in xyz]
    joined = np.concatenate(xyz).astype(np.float32)
    hemisphere = np.repeat(np.array(HEMISPHERES), counts)
    vertex = np.concatenate([np.arange(count) for count in counts])
    labels = [f"{side}-{index:05d}" for side, index in zip(hemisphere, vertex, strict=True)]
    wall = _read_installed("thickness") < THINNEST_MM
    result = xr.Dataset(
        coords={
            "neuroid": np.array(labels),
            "hemisphere": ("neuroid", hemisphere),
            "vertex": ("neuroid", vertex),
            **{axis: ("neuroid", joined[:, column]) for column, axis in enumerate("xyz")},
        },
        attrs={"kind": "estimate", "method": "load_cortical_maps", "space": "fsaverage5"},
    )
    for name in names:
        read, unit = choose(READERS, name, "names")
        values = np.where(wall, np.nan, read(name)).astype(np.float32)
        result[name] = ("neuroid", values, {"units": unit, "space": "fsaverage5"})
    result.attrs["n_vertices"] = counts
    return result


def _read_installed(name: str) -> Array:
    files = datasets.fetch_surf_fsaverage("fsaverage5")
    key = INSTALLED[name][0]
    return np.concatenate(
        [np.asarray(surface.load_surf_data(files[f"{key}_{SIDES[side]}"])) for side in HEMISPHERES]
    )


def _read_annotation(name: str) -> Array:
    library: Any = require("neuromaps.datasets", "maps")
    transforms: Any = require("neuromaps.transforms", "maps")
    source, desc, space, density = ANNOTATIONS[name]
    found = library.fetch_annotation(source=source, desc=desc, space=space, den=density)
    sides = transforms.fslr_to_fsaverage(found, "10k")
    return np.concatenate([np.asarray(side.agg_data()) for side in sides])


Reader = Callable[[str], Array]
_installed: dict[str, tuple[Reader, str]] = {
    name: (_read_installed, unit) for name, (_, unit) in INSTALLED.items()
}
_fetched: dict[str, tuple[Reader, str]] = dict.fromkeys(ANNOTATIONS, (_read_annotation, "a.u."))
READERS = _installed | _fetched
