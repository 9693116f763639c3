"""The tangent kernel of a network: how alike it would change its answers to two inputs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from neuroalign import provenance
from neuroalign._hooks import capture_layers, first_tensor, resolve_layers
from neuroalign.errors import require, some

try:
    import torch
    from torch import nn
    from torch.func import functional_call, jacrev, vmap
except ModuleNotFoundError:
    require("torch", "torch")
    raise

Array = npt.NDArray[Any]
# Rows of the kernel, and weights from which on gradients are hashed to fewer numbers.
MAX_ROWS, MAX_WEIGHTS, HASHED_WIDTH = 512, 10_000_000, 65_536


def compute_tangent_kernel(
    model: nn.Module,
    inputs: Any,
    *,
    parameters: Sequence[str] | None = None,
    sketch: int | None = None,
    chunk_size: int = 16,
    seed: int = 0,
) -> xr.DataArray:
    """Inner products of the gradients of all outputs with respect to the weights.

    Parameters
    ----------
    model : torch.nn.Module
        Takes a batch, gives a tensor (sample, ...), or a tuple or dict with one first. Used in
        evaluation mode, given back as it was. Rows must not depend on each other.
    inputs : tensor or array (sample, ...)
        Cast to the type of the weights.
    parameters : sequence of str, optional
        Names as in ``model.named_parameters()``: the recurrent weights, say. All that are
        trainable when not given.
    sketch : int, optional
        Hash gradients to so many numbers with random signs, which keeps inner products on average
        (relative error of about ``1 / sqrt(sketch)``). Always above 10 million weights, to 65,536.
    chunk_size : int
        Samples whose gradients are held at a time.
    seed : int
        Of the hash.

    Returns
    -------
    DataArray (row, row_other)
        float64; one row for each output of each sample, coords ``sample`` and ``output`` on
        ``row``.

    Raises
    ------
    ValueError
        For unknown parameters, or more than 512 outputs of all samples together.

    References
    ----------
    Jacot et al. (2018), NeurIPS, arXiv:1806.07572.

    Examples
    --------
    >>> linear = nn.Linear(2, 1, bias=False)
    >>> compute_tangent_kernel(linear, np.array([[1.0, 2.0], [3.0, 0.0]])).values.tolist()
    [[5.0, 3.0], [3.0, 9.0]]
    """
    batch = _as_batch(model, inputs)
    chosen = _choose_parameters(model, parameters)
    width = sum(value.numel() for value in chosen.values())
    if sketch is None and width > MAX_WEIGHTS:
        sketch = HASHED_WIDTH
    if sketch is not None and sketch < 1:
        raise ValueError(f"sketch: expected at least 1 number, got {sketch}. 65536 is usual.")
    others = {key: value.detach() for key, value in model.state_dict().items()}

    def answer(weights: dict[str, torch.Tensor], one: torch.Tensor) -> torch.Tensor:
        output = functional_call(model, {**others, **weights}, (one[None],))
        return first_tensor(output, "output").reshape(-1)

    with _at_rest(model):
        with torch.no_grad():
            n_outputs = len(answer(chosen, batch[0]))
        if len(batch) * n_outputs > MAX_ROWS:
            raise ValueError(
                f"inputs: expected at most {MAX_ROWS} outputs in all, got {len(batch)} samples of "
                f"{n_outputs}. Use fewer samples."
            )
        slope = jacrev(answer)
        rows = []
        for first in range(0, len(batch), chunk_size):
            gradient = _differentiate(slope, chosen, batch[first : first + chunk_size])
            rows.append(_flatten(gradient, n_outputs, sketch, seed))
    jacobian = torch.cat(rows).reshape(-1, rows[0].shape[-1]).cpu().numpy()
    sample = np.repeat(np.arange(len(batch)), n_outputs)
    output = np.tile(np.arange(n_outputs), len(batch))
    record: dict[str, Any] = {"parameters": list(chosen), "sketch": sketch or 0, "seed": seed}
    return xr.DataArray(
        jacobian @ jacobian.T,
        coords={"sample": ("row", sample), "output": ("row", output)},
        dims=("row", "row_other"),
        attrs={
            "kind": "tangent kernel",
            "n_weights": width,
            "sketch": sketch or 0,
            "seed": seed,
            "provenance": provenance.collect(
                record, {"inputs": provenance.hash_array(batch.cpu().numpy())}
            ),
        },
    )


def read_weights(model: nn.Module) -> dict[str, Array]:
    """Give the trainable weights of a network as arrays, by name.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    dict of str to array
        Copies, in float64.

    Examples
    --------
    >>> {name: value.shape for name, value in read_weights(nn.Linear(3, 2)).items()}
    {'weight': (2, 3), 'bias': (2,)}
    """
    return {
        name: value.detach().cpu().double().numpy().copy()
        for name, value in model.named_parameters()
        if value.requires_grad
    }


def record_layer(model: nn.Module, inputs: Any, layer: str | None = None) -> Array:
    """Run inputs through a network and give what one layer answers.

    Parameters
    ----------
    model : torch.nn.Module
        Used in evaluation mode, given back as it was.
    inputs : tensor or array (sample, ...)
    layer : str or None
        A name as in ``model.named_modules()``; the output of the network when None.

    Returns
    -------
    array (sample, unit)
        float64; more dims are joined.

    Raises
    ------
    ValueError
        When the model has no such layer.

    Examples
    --------
    >>> record_layer(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), np.ones((2, 3)), "0").shape
    (2, 4)
    """
    batch = _as_batch(model, inputs)
    names = [] if layer is None else resolve_layers(model, [layer])
    with _at_rest(model), torch.no_grad(), capture_layers(model, names) as captured:
        output = first_tensor(model(batch), "output")
        values = output if layer is None else captured[names[0]]
        return np.asarray(values.reshape(len(batch), -1).double().cpu().numpy())


def _as_batch(model: nn.Module, inputs: Any) -> torch.Tensor:
    home = next(model.parameters(), None)
    batch = inputs if isinstance(inputs, torch.Tensor) else torch.as_tensor(np.asarray(inputs))
    if home is None:
        return batch
    # Token numbers stay whole; all else takes the type of the weights.
    return batch.to(home) if batch.is_floating_point() else batch.to(home.device)


def _choose_parameters(model: nn.Module, names: Sequence[str] | None) -> dict[str, torch.Tensor]:
    every = {name: value.detach() for name, value in model.named_parameters()}
    if names is None:
        trained = [name for name, value in model.named_parameters() if value.requires_grad]
    else:
        trained = list(names)
    unknown = [name for name in trained if name not in every]
    if unknown or not trained:
        raise ValueError(
            f"parameters: expected names of weights, got {some(unknown) or 'none'}. "
            f"The model has {some(every)}."
        )
    return {name: every[name] for name in trained}


def _differentiate(
    slope: Callable[..., dict[str, torch.Tensor]],
    weights: dict[str, torch.Tensor],
    batch: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """Differentiate all samples at once, or one by one where a layer cannot be vectorised."""
    try:
        return dict(vmap(slope, in_dims=(None, 0), randomness="different")(weights, batch))
    except RuntimeError:
        # Recurrent cells write into their state; an error of the model itself comes again here.
        each = [slope(weights, one) for one in batch]
    return {name: torch.stack([one[name] for one in each]) for name in weights}


def _flatten(
    gradient: dict[str, torch.Tensor], n_outputs: int, sketch: int | None, seed: int
) -> torch.Tensor:
    """Join the gradients of all weights (sample, output, weight), hashed where asked."""
    parts = [value.reshape(len(value), n_outputs, -1).double() for value in gradient.values()]
    if sketch is None:
        return torch.cat(parts, dim=2)
    hashed = parts[0].new_zeros((*parts[0].shape[:2], sketch))
    generator = torch.Generator().manual_seed(seed)
    for part in parts:
        size = part.shape[2]
        bucket = torch.randint(sketch, (size,), generator=generator).to(part.device)
        flip = torch.randint(2, (size,), generator=generator).to(part) * 2 - 1
        hashed.index_add_(2, bucket, part * flip)
    return hashed


@contextmanager
def _at_rest(model: nn.Module) -> Iterator[None]:
    """Put all modules in evaluation mode, and give them back as they were."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode
