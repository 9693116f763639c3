"""What a fit on disk looks like, and how it is opened."""

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from neuroalign import storage
from neuroalign._arrays import copy_geometry
from neuroalign._chunks import open_chunked
from neuroalign.errors import some

LABELS = "labels.nc"


def save_labels(
    folder: Path,
    features: xr.DataArray | None,
    y: Any,
    names: list[str],
    metric: str,
    key: str,
) -> None:
    """Keep the labels of features and neuroids beside the numbers."""
    labels = xr.Dataset(
        attrs={
            "kind": "estimate",
            "method": "fit_to_store",
            "metric": metric,
            "names": "\n".join(names),
            "provenance": key,
        }
    )
    for source, dim in ((features, "feature"), (y, "neuroid")):
        if isinstance(source, xr.DataArray):
            labels = labels.assign_coords(
                {name: coord for name, coord in source.coords.items() if coord.dims == (dim,)}
            )
    if isinstance(y, xr.DataArray):
        labels = copy_geometry(y, labels)
    if not (folder / LABELS).exists():
        storage.save(labels, folder / LABELS)


def open_fit(folder: Path | str) -> xr.Dataset:
    """Open what `fit_to_store` has finished.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Dataset
        ``weights`` (feature, neuroid), lazy; one row a neuroid for the rest. Each knows where
        its neuroids are, for ``loaders.to_nifti`` and its like.

    Raises
    ------
    FileNotFoundError
    DataCorruptionError
        When chunks are missing, damaged or unfinished.

    Examples
    --------
    >>> import tempfile
    >>> from neuroalign.encoders import Ridge, fit_to_store
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=60, n_neuroids=8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = fit_to_store(Ridge(1.0), data.features, data.responses, f"{folder}/fit")
    ...     open_fit(f"{folder}/fit").equals(made)
    True
    """
    folder = Path(folder)
    if not (folder / LABELS).is_file():
        raise FileNotFoundError(
            f"{folder}: expected a folder that fit_to_store wrote, got none. In its parent: "
            f"{some(sorted(path.name for path in folder.parent.glob('*'))) or 'nothing'}."
        )
    labels: xr.Dataset = storage.load(folder / LABELS)
    names = str(labels.attrs["names"]).split("\n")
    arrays = open_chunked(folder, ["weights", *names])
    lazy = da.from_array(  # type: ignore[no-untyped-call]
        arrays["weights"], chunks=arrays["weights"].chunks
    )
    result = labels.drop_attrs().assign_attrs(labels.attrs)
    result["weights"] = (("feature", "neuroid"), lazy)
    for name in names:
        result[name] = ("neuroid", np.asarray(arrays[name][:]))
    # Whatever a map may be made of knows its places.
    for name in map(str, result.data_vars):
        result[name] = copy_geometry(labels, result[name])
    del result.attrs["names"]
    return result
