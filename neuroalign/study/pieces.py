"""What studies may call beside the rooms, as ``study.name``: steps that Python writes in a line.

In Python one chains scikit-learn steps, fits a model and takes its latents, or makes a table of
layers by hand; in YAML each needs a name. To add one: a function here, and its row in
``calls.DIRECT``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from sklearn.pipeline import Pipeline, make_pipeline

from neuroalign.errors import SchemaError
from neuroalign.provenance import collect
from neuroalign.schema import SCHEMA_VERSION, check_latents, check_layers
from neuroalign.study.images import cut_natural_images


def cut_images(n_images: int = 240, size: int = 64, seed: int = 0) -> xr.DataArray:
    """Cut natural images out of the photographs in installed wheels.

    Parameters
    ----------
    n_images, size, seed : int
        See `neuroalign.study.images.cut_natural_images`.

    Returns
    -------
    DataArray (sample, channel, row, column)
        Named by ``stimulus``, values in 0 to 1; what `features.extract` takes.
    """
    images = cut_natural_images(n_images, size, seed=seed)
    return xr.DataArray(
        np.stack([*images.values()]),
        dims=("sample", "channel", "row", "column"),
        coords={"stimulus": ("sample", np.array([*images]))},
        attrs={"source": "photographs in installed wheels", "schema_version": SCHEMA_VERSION},
    )


def chain(steps: Sequence[Any]) -> Pipeline:
    """Chain transformers and an encoder into one, each fitted on training rows alone.

    Parameters
    ----------
    steps : sequence of estimators
        The last predicts.

    Returns
    -------
    Pipeline
    """
    if not isinstance(steps, Sequence) or isinstance(steps, str) or not steps:
        raise SchemaError(
            f"steps: expected a list of estimators, got '{steps}'. Write each as "
            "{use: encoders.Ridge}."
        )
    return make_pipeline(*steps)


def fit_latents(model: Any, responses: xr.DataArray) -> xr.DataArray:
    """Fit a latent model to responses and infer their latents.

    Parameters
    ----------
    model : LatentModel
    responses : DataArray (sample, neuroid) or (sample, neuroid, time)

    Returns
    -------
    DataArray (sample, latent) or (sample, time, latent)
        attrs: ``model`` is the name of its class, ``warnings`` what the fit said.

    Raises
    ------
    SchemaError
        When the model gives no latents of one population.
    """
    found = model.fit(responses).transform(responses)
    name = type(model).__name__
    if not isinstance(found, xr.DataArray):
        raise SchemaError(
            f"model: expected one that gives the latents of one population, got {name}. "
            "See help(neuroalign.latents)."
        )
    found = found.astype("float32").assign_attrs(
        kind=str(found.attrs.get("kind", "latents")), model=name
    )
    return check_latents(found) if found.attrs["kind"] == "latents" else found


def summarise_layers(
    results: Mapping[str, xr.Dataset], planted: Mapping[str, str], model: str = "SmallConvNet"
) -> xr.Dataset:
    """Compare layers by region: mean score, the best layer, and the planted one.

    Parameters
    ----------
    results : mapping of str to Dataset
        Encoding results of one response array, by layer in depth order.
    planted : mapping of str to str
        Region to the layer that generated it.
    model : str
        Name of the network.

    Returns
    -------
    Dataset
        ``score`` (layer, roi), ``best_layer`` and ``planted_layer`` (roi), and
        ``best_layer_index`` (neuroid).
    """
    names = list(results)
    per_neuroid = xr.concat(
        [results[name]["score"].mean("fold") for name in names], dim=xr.Variable("layer", names)
    )
    score = per_neuroid.groupby("roi").mean().sel(roi=list(planted))
    score = score.assign_coords(roi=np.array(list(planted)))
    best = per_neuroid.argmax("layer").astype("float32").drop_vars("planted_layer", errors="ignore")
    summary = xr.Dataset(
        {
            "score": score.transpose("layer", "roi").astype("float32"),
            "best_layer": ("roi", np.array(names)[score.argmax("layer").values]),
            "planted_layer": ("roi", np.array([planted[roi] for roi in planted])),
            "best_layer_index": best,
        }
    )
    first = next(iter(results.values()))
    return check_layers(
        summary.assign_attrs(
            kind="layers",
            metric=first.attrs["metric"],
            model=model,
            seed=first.attrs["seed"],
            provenance=collect(
                {"layers": ",".join(names), "chosen_by": "mean held-out score of each region"}
            ),
        )
    )
