"""What studies may call beside the rooms, as ``study.name``: steps that Python writes in a line.

In Python one chains scikit-learn steps, fits a model and takes its latents, or makes a table of
layers by hand; in YAML each needs a name. To add one: a function here, and its row in
``calls.DIRECT``.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.pipeline import Pipeline, make_pipeline

from neuroalign.errors import SchemaError, some
from neuroalign.provenance import collect, hash_array
from neuroalign.schema import SCHEMA_VERSION, add_history, check_latents, check_layers
from neuroalign.study.calls import suggest
from neuroalign.study.images import cut_natural_images

Array = npt.NDArray[Any]


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

    Examples
    --------
    >>> cut_images(4, size=32).shape
    (4, 3, 32, 32)
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

    Raises
    ------
    SchemaError
        When there is no list of steps.

    Examples
    --------
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.features import PrincipalComponents
    >>> [name for name, _ in chain([PrincipalComponents(n_components=5), Ridge()]).steps]
    ['principalcomponents', 'ridge']
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

    Examples
    --------
    >>> from neuroalign.latents import FactorAnalysis
    >>> from neuroalign.loaders import simulate_linear
    >>> responses = simulate_linear(n_samples=200, n_neuroids=8, snr=4.0).responses
    >>> dict(fit_latents(FactorAnalysis(2), responses).sizes)
    {'sample': 200, 'latent': 2}
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


def select_samples(
    data: Any,
    keep: Mapping[str, Any] | None = None,
    drop: Mapping[str, Any] | None = None,
) -> Any:
    """Select samples by their labels: keep some conditions or runs, leave others out.

    Parameters
    ----------
    data : DataArray or Dataset (sample, ...)
        Responses, features, or both matched.
    keep : mapping of str to value or list, optional
        Coord of samples to the labels that stay; samples must fit all coords that are named.
    drop : mapping of str to value or list, optional
        Coord of samples to the labels that go; samples that fit any of them do.

    Returns
    -------
    DataArray or Dataset (sample, ...)
        In the order of before; as lazy as it came.

    Raises
    ------
    SchemaError
        For a coord or a label that the samples lack, and when no sample would be left.

    Examples
    --------
    >>> from neuroalign.loaders import from_arrays
    >>> stimuli = ["face", "rest", "house", "rest"]
    >>> responses = from_arrays(np.eye(4), stimulus=stimuli, modality="fmri")
    >>> select_samples(responses, drop={"stimulus": "rest"})["stimulus"].values.tolist()
    ['face', 'house']
    """
    if not keep and not drop:
        raise SchemaError(
            "keep, drop: expected labels to keep or to drop, got none. Write drop: {stimulus: "
            "rest}."
        )
    stays = np.ones(data.sizes.get("sample", 0), dtype=bool)
    for coord, labels in _read_labels("keep", keep):
        stays &= _find_labels(data, coord, labels, f"keep.{coord}")
    for coord, labels in _read_labels("drop", drop):
        stays &= ~_find_labels(data, coord, labels, f"drop.{coord}")
    if not stays.any():
        raise SchemaError(
            f"keep, drop: expected samples to be left, got none of {len(stays)}. Keep more labels, "
            "or drop fewer."
        )
    said = ", ".join(f"{how} {dict(one)}" for how, one in (("keep", keep), ("drop", drop)) if one)
    return add_history(data.isel(sample=np.flatnonzero(stays)), f"select_samples: {said}")


def _read_labels(argument: str, labels: Any) -> list[tuple[str, list[Any]]]:
    if labels is None:
        return []
    if not isinstance(labels, Mapping):
        raise SchemaError(
            f"{argument}: expected a mapping of coords to labels, got '{labels}'. Write "
            f"{argument}: {{stimulus: {labels}}}."
        )
    return [
        (str(coord), [*found] if isinstance(found, list | tuple | set) else [found])
        for coord, found in labels.items()
    ]


def _find_labels(data: Any, coord: str, labels: list[Any], where: str) -> npt.NDArray[np.bool_]:
    """Which samples have one of the labels."""
    known = [str(name) for name, one in data.coords.items() if one.dims == ("sample",)]
    if coord not in known:
        raise SchemaError(
            f"{where}: expected a coord of samples, got '{coord}'.{suggest(coord, known)} There "
            f"are: {', '.join(known) or 'none'}."
        )
    # YAML reads the name of a run such as 01 as a number, and a number in quotes as text.
    values, wanted = data[coord].values.astype(str), [str(label) for label in labels]
    lost = [label for label in wanted if label not in values]
    if lost:
        there = np.unique(values).tolist()
        raise SchemaError(
            f"{where}: expected labels of '{coord}', got {some(lost)}.{suggest(lost[0], there)} "
            f"There are: {some(there, limit=10)}."
        )
    return np.isin(values, wanted)


def _by_region(
    values: Array, members: Mapping[str, Array], reduce: Callable[[Array], Array]
) -> Array:
    """Reduce the last axis, neuroids, to regions; those without a value are left out."""
    with warnings.catch_warnings():
        # A region without any value has none itself.
        warnings.filterwarnings("ignore", message="Mean of empty slice|All-NaN")
        return np.stack([reduce(values[..., inside]) for inside in members.values()], axis=-1)


def _mean(values: Array) -> Array:
    return np.asarray(np.nanmean(values, axis=-1))


def _least(values: Array) -> Array:
    return np.asarray(np.nanmin(values, axis=-1))


def summarise_layers(
    results: Mapping[str, xr.Dataset], planted: Mapping[str, str], model: str = "SmallConvNet"
) -> xr.Dataset:
    """Compare layers by region: mean score, the best layer, the planted one, what stands behind.

    Parameters
    ----------
    results : mapping of str to Dataset
        Encoding results of one response array, by layer in depth order, with coord ``roi``.
    planted : mapping of str to str
        Region to the layer that generated it.
    model : str
        Name of the network.

    Returns
    -------
    Dataset
        ``score`` (layer, roi), ``fold_score`` (layer, fold, roi), ``best_layer`` and
        ``planted_layer`` (roi), ``neuroid_score`` (layer, neuroid), ``best_layer_index`` (neuroid)
        with coord ``region``, and where the results have them ``ceiling`` (neuroid) and ``p_fwer``
        (layer, roi).

    Raises
    ------
    SchemaError
        When a planted region has no neuroid.

    Notes
    -----
    ``p_fwer`` is the least p value by the max statistic in a region, times the number of layers
    (Bonferroni): it holds for all cells at once, and says that some neuroid there is predicted.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroalign.encoders import Ridge
    >>> from neuroalign.evaluate import cross_validate
    >>> from neuroalign.loaders import simulate_linear
    >>> data = simulate_linear(n_samples=80, n_features=5, n_neuroids=6, snr=5.0)
    >>> responses = data.responses.assign_coords(roi=("neuroid", ["V1"] * 6))
    >>> noise = data.features.copy(data=np.random.default_rng(0).normal(size=(80, 5)))
    >>> layers = {"late": noise, "early": data.features}
    >>> results = {name: cross_validate(Ridge(), X, responses) for name, X in layers.items()}
    >>> summarise_layers(results, {"V1": "early"})["best_layer"].values.tolist()
    ['early']
    """
    names, first = list(results), next(iter(results.values()))
    region = first["roi"].values.astype(str)
    lost = sorted(set(planted) - set(region.tolist()))
    if lost:
        raise SchemaError(
            f"planted: expected regions of the results, got {some(lost)}. They have: "
            f"{some(np.unique(region).tolist())}."
        )
    members = {roi: region == roi for roi in planted}
    stacked = [results[name]["score"].drop_vars("planted_layer", errors="ignore") for name in names]
    each = xr.concat(stacked, dim=xr.Variable("layer", names))
    each = each.drop_vars("roi").assign_coords(region=("neuroid", region))
    each = each.transpose("layer", "fold", "neuroid")
    per_neuroid = each.mean("fold")
    score = _by_region(per_neuroid.values, members, _mean)
    found: dict[str, Any] = {
        "score": (("layer", "roi"), score.astype("float32")),
        "fold_score": (
            ("layer", "fold", "roi"),
            _by_region(each.values, members, _mean).astype("float32"),
        ),
        "best_layer": ("roi", np.array(names)[score.argmax(axis=0)]),
        "planted_layer": ("roi", np.array([planted[roi] for roi in planted])),
        "neuroid_score": per_neuroid.astype("float32"),
        "best_layer_index": per_neuroid.argmax("layer").astype("float32"),
    }
    if "ceiling" in first and first["ceiling"].dims == ("neuroid",):
        found["ceiling"] = ("neuroid", first["ceiling"].values.astype("float32"))
    if all("p_fwer" in results[name] for name in names):
        p = np.stack([results[name]["p_fwer"].values for name in names])
        least = _by_region(p, members, _least) * len(names)
        found["p_fwer"] = (("layer", "roi"), np.minimum(1.0, least))
    lines = [
        line for name in names for line in str(results[name].attrs.get("history", "")).splitlines()
    ]
    summary = xr.Dataset(found, coords={"roi": np.array(list(planted))})
    first = next(iter(results.values()))
    return check_layers(
        summary.assign_attrs(
            kind="layers",
            metric=first.attrs["metric"],
            model=model,
            seed=first.attrs["seed"],
            history="\n".join(dict.fromkeys(lines)),
            provenance=collect(
                {"layers": ",".join(names), "chosen_by": "mean held-out score of each region"},
                {name: hash_array(results[name]["score"]) for name in names},
            ),
        )
    )
