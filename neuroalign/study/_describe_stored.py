"""What the library itself stored: schema objects and folders of features."""

from pathlib import Path

from neuroalign import schema, storage
from neuroalign.errors import require, some


def describe_stored(path: Path) -> list[str]:
    """Describe a schema object; raise when it is damaged."""
    array = storage.load(path)
    if "kind" in array.attrs:
        schema.check(array, str(path))
    sizes = ", ".join(f"{dim} {size}" for dim, size in array.sizes.items())
    lines = [f"{path.name}: {array.attrs.get('kind', 'of no kind')}", f"sizes: {sizes}"]
    lines.append(f"coords: {some(list(array.coords), limit=30)}")
    return lines + [
        f"{key}: {value}" for key, value in array.attrs.items() if key not in ("kind", "provenance")
    ]


def describe_features(path: Path) -> list[str]:
    """Describe a folder that `features.extract` wrote; raise when a batch is damaged."""
    require("torch", "torch")
    from neuroalign.features._store import open_store  # noqa: PLC0415

    layers = open_store(path)
    lines = [f"{path.name}: features of {len(layers)} layers, whole"]
    for name, layer in layers.items():
        sizes = ", ".join(f"{dim} {size}" for dim, size in layer.sizes.items())
        lines.append(f"{name}: {sizes}, {layer.dtype}")
    return lines
