"""A fitted MM-GPVAE as one Dataset, and back."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign.latents._mm_gpvae import MultimodalNet, Sizes, build_net, put_weights, read_weights
from neuroalign.latents._trials import Labels

Array = npt.NDArray[Any]
GROUPS = ("neural", "shared", "behaviour")
WEIGHT = "weight_"


def name_groups(sizes: Sizes) -> Array:
    """Group of each latent."""
    return np.repeat(GROUPS, [sizes.n_neural, sizes.n_shared, sizes.n_behaviour])


def find_absorbed(means: Array, inside: Array, sizes: Sizes) -> Array:
    """Regression (latent, latent) of private latents on the shared ones, over all bins."""
    groups = name_groups(sizes)
    mix, flat = np.zeros((len(groups), len(groups))), means[inside]
    flat = flat - flat.mean(axis=0)
    shared, private = np.flatnonzero(groups == "shared"), np.flatnonzero(groups != "shared")
    weights = np.linalg.lstsq(flat[:, shared], flat[:, private], rcond=None)[0]
    mix[np.ix_(private, shared)] = weights.T
    return mix


def describe_net(
    net: MultimodalNet, labels: Labels, absorbed: Array, centre: Array, scale: float
) -> xr.Dataset:
    """Parameters with named dims, and all weights beside them."""
    weights, sizes = read_weights(net), net.sizes
    loadings = np.zeros((sizes.n_units, sizes.n_latents))
    loadings[:, : sizes.n_seen_neurally] = weights["loadings"]
    found: dict[str, Any] = {
        # What private latents held of the shared ones is handed to these.
        "loadings": (("neuroid", "latent"), loadings + loadings @ absorbed),
        "offset": ("neuroid", weights["offset"]),
        "timescale": (
            "latent", net.find_lengths().detach().cpu().numpy() * (labels.bin_size or 1.0)
        ),
        "variance": ("latent", np.exp(weights["log_variance"])),
        "absorbed": (("latent", "latent_other"), absorbed),
        "behaviour_mean": ("channel", centre),
        "behaviour_scale": ((), scale),
        "behaviour_noise": ((), float(net.find_noise().detach())),
    }  # fmt: skip
    for key, value in weights.items():
        name = WEIGHT + key.replace(".", "_")
        found[name] = (tuple(f"{name}_{axis}" for axis in range(value.ndim)), value)
    if not sizes.n_channels:
        found = {key: part for key, part in found.items() if not key.startswith("behaviour")}
    return xr.Dataset(
        found, coords={**labels.on_neuroid(), "group": ("latent", name_groups(sizes))}
    )


def rebuild_net(params: xr.Dataset, hidden: tuple[int, ...]) -> MultimodalNet:
    """Build the net that `describe_net` described."""
    groups = params["group"].values
    neural, shared, alone = (int((groups == one).sum()) for one in GROUPS)
    units = params.sizes["neuroid"]
    sizes = Sizes(neural, shared, alone, units, params.sizes.get("channel", 0), hidden)
    net = build_net(sizes, np.zeros(units), np.ones(units), 2.0, (1.0, 3.0), 0).double()
    names = {key: WEIGHT + key.replace(".", "_") for key in net.state_dict()}
    put_weights(net, {key: params[name].values for key, name in names.items()})
    return net.eval()


def pack_model(model: Any) -> xr.Dataset:
    """Everything of a fitted model in one storable Dataset."""
    kept = {
        "kept": ("unit", model.kept_.astype(np.int8)),
        "mean_rate": ("unit", model.mean_rate_),
        "largest": ("unit", model.largest_),
        "unit_name": ("unit", model._labels.neuroid.astype(str)),
    }
    state = {
        "config": model.get_params(), "counts": model.counts_, "converged": model.converged_,
        "bin_size": model._labels.bin_size, "named": model._labels.named,
        "circle": model._circle, "bounds": list(model._bounds),
        "warnings": model.warnings_, "history": model.history_,
    }  # fmt: skip
    whole: xr.Dataset = model.params_.assign(kept)
    whole.attrs = dict(model.params_.attrs) | {"state": json.dumps(state)}
    return whole


def read_state(whole: xr.Dataset) -> dict[str, Any]:
    """The plain part of what `pack_model` packed, its tuples restored."""
    state: dict[str, Any] = json.loads(str(whole.attrs["state"]))
    for key in ("hidden", "timescale_range"):
        value = state["config"][key]
        state["config"][key] = None if value is None else tuple(value)
    return state


def unpack_model(whole: xr.Dataset, state: dict[str, Any]) -> dict[str, Any]:
    """Attributes of the fitted model, but for its net."""
    params = whole.drop_vars(["kept", "mean_rate", "largest", "unit_name"])
    params.attrs = {key: value for key, value in whole.attrs.items() if key != "state"}
    names = {"neuroid": whole["unit_name"].values}
    with_y = "channel" in params.sizes
    return {
        "params_": params, "kept_": whole["kept"].values.astype(bool),
        "mean_rate_": whole["mean_rate"].values, "largest_": whole["largest"].values,
        "counts_": state["counts"],
        "converged_": state["converged"], "history_": state["history"],
        "n_iter_": len(state["history"]["objective"]), "warnings_": state["warnings"],
        "_labels": Labels(names, state["bin_size"], state["named"]),
        "_circle": state["circle"], "_bounds": tuple(state["bounds"]),
        "_mix": params["absorbed"].values,
        "_centre": params["behaviour_mean"].values if with_y else np.zeros(0),
        "_scale": float(params["behaviour_scale"]) if with_y else 1.0,
    }  # fmt: skip
