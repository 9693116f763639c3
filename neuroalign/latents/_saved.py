"""A fitted latent model as one Dataset, and back: arrays beside a tree of what holds them.

In: a fitted model. Out: a file of netCDF or zarr. The tree is JSON; of objects it names the class,
which must be a record or an emission of this room: nothing in a file is ever run.
"""

import json
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from neuroalign import storage
from neuroalign.errors import LoadError, SchemaError
from neuroalign.latents._emissions import Emission

Array = npt.NDArray[Any]
ROOM = "neuroalign.latents"
# Begin of the names of arrays that are not parameters.
PART = "saved_array_"
# Lists of more numbers than this are arrays in the file.
LONG = 8


class Saved:
    """A model that goes to a file and comes back."""

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the fitted model to one file, without pickle.

        Parameters
        ----------
        path : path
            Ends in ``.nc`` or ``.zarr``.
        overwrite : bool

        Returns
        -------
        Path

        Raises
        ------
        SchemaError
            When the model holds what a file cannot.
        """
        check_is_fitted(self, "params_")
        return storage.save(pack_model(self), path, overwrite=overwrite)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path

        Returns
        -------
        The fitted model.

        Raises
        ------
        LoadError
            When the file holds something else.
        """
        whole = storage.load(path)
        kept = isinstance(whole, xr.Dataset) and {"model", "state"} <= set(whole.attrs)
        if not kept or (whole.attrs["model"] != cls.__name__):
            got = whole.attrs.get("model", "another object")
            raise LoadError(
                f"{Path(path).name}: expected a saved {cls.__name__}, got {got}. Use the class "
                "that wrote it, or storage.load."
            )
        return cast(Self, unpack_model(cls, whole))


def pack_model(model: Any) -> xr.Dataset:
    """Parameters, all other fitted state, and the constructor's arguments.

    Raises
    ------
    SchemaError
        When something is no number, text, array or record of this room.
    """
    asked = model.get_params(deep=False)
    rest = {key: value for key, value in vars(model).items() if key not in (*asked, "params_")}
    arrays: list[Array] = []
    tree = {"config": _encode(asked, arrays), "rest": _encode(rest, arrays)}
    made = {}
    for number, values in enumerate(arrays):
        name = f"{PART}{number:03d}"
        made[name] = (tuple(f"{name}_{axis}" for axis in range(values.ndim)), values)
    whole = cast(xr.Dataset, model.params_).assign(made)
    whole.attrs = {
        **model.params_.attrs, "model": type(model).__name__, "state": json.dumps(tree),
    }  # fmt: skip
    return whole


def unpack_model(cls: type, whole: xr.Dataset) -> Any:
    """Rebuild what `pack_model` packed."""
    names = [str(name) for name in whole.variables if str(name).startswith(PART)]
    arrays = {int(name.removeprefix(PART)): whole[name].values for name in names}
    tree = json.loads(str(whole.attrs["state"]))
    model = cls(**_decode(tree["config"], arrays))
    vars(model).update(_decode(tree["rest"], arrays))
    params = whole.drop_vars(names)
    params.attrs = {key: v for key, v in whole.attrs.items() if key not in ("model", "state")}
    vars(model)["params_"] = params
    return model


def _encode(value: Any, arrays: list[Array]) -> Any:
    """JSON for a value; arrays go to the list."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _encode(value.item(), arrays)
    if isinstance(value, np.ndarray):
        return _encode_array(value, arrays)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _encode(one, arrays) for key, one in value.items()}}
    if _is_record(type(value)):
        name = f"{type(value).__module__}:{type(value).__qualname__}"
        return {"object": name, "parts": _encode(_take_apart(value), arrays)}
    if isinstance(value, list) and len(value) > LONG and {*map(type, value)} == {float}:
        return {"floats": _encode_array(np.array(value), arrays)}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_encode(one, arrays) for one in value]}
    raise SchemaError(
        f"model: expected numbers, texts, arrays and records, got {type(value).__name__}. A model "
        "with it cannot be saved: fit without it, or save params_."
    )


def _encode_array(values: Array, arrays: list[Array]) -> Any:
    kind = values.dtype.kind
    if kind not in "biufcU":
        raise SchemaError(
            f"model: expected arrays of numbers or texts, got dtype {values.dtype}. Save params_."
        )
    # Products of matrices round by the order in memory.
    turned = values.flags.f_contiguous and not values.flags.c_contiguous
    order: Literal["C", "F"] = "F" if turned else "C"
    told = {"dtype": values.dtype.str, "shape": list(values.shape), "order": order}
    if not values.size:
        return {"array": None, **told}
    plain = values.ravel(order=order)
    if kind == "c":
        plain = np.stack([plain.real, plain.imag])
    arrays.append(plain.astype(np.int8) if kind == "b" else plain)
    return {"array": len(arrays) - 1, **told}


def _decode(tree: Any, arrays: dict[int, Array]) -> Any:
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return _decode_array(tree, arrays)
    if "object" in tree:
        return _put_together(tree["object"], _decode(tree["parts"], arrays))
    if "dict" in tree:
        return {key: _decode(one, arrays) for key, one in tree["dict"].items()}
    if "floats" in tree:
        return _decode(tree["floats"], arrays).tolist()
    ((kind, parts),) = tree.items()
    return {"list": list, "tuple": tuple}[kind](_decode(one, arrays) for one in parts)


def _decode_array(tree: dict[str, Any], arrays: dict[int, Array]) -> Array:
    dtype, shape = np.dtype(tree["dtype"]), tree["shape"]
    if tree["array"] is None:
        return np.empty(shape, dtype)
    values = arrays[tree["array"]]
    if dtype.kind == "c":
        values = values[0] + 1j * values[1]
    return np.asarray(values).astype(dtype).reshape(shape, order=tree["order"])


def _is_record(kind: type) -> bool:
    ours = kind.__module__.startswith(f"{ROOM}.")
    return ours and (is_dataclass(kind) or hasattr(kind, "_fields") or issubclass(kind, Emission))


def _take_apart(value: Any) -> dict[str, Any]:
    if hasattr(value, "_fields"):
        return dict(value._asdict())
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return dict(vars(value))


def _put_together(name: str, parts: dict[str, Any]) -> Any:
    module, _, kind = name.partition(":")
    found: Any = None
    if module.startswith(f"{ROOM}."):
        found = getattr(import_module(module), kind, None)
    if not isinstance(found, type) or not _is_record(found):
        raise LoadError(
            f"state: expected records of {ROOM}, got '{name}'. Read it with the version that wrote "
            "it."
        )
    if hasattr(found, "_fields"):
        return found(**parts)
    made: Any = object.__new__(found)
    for key, value in parts.items():
        object.__setattr__(made, key, value)
    return made
