"""Say what a stored object is."""

from pathlib import Path

from neuroalign import schema, storage
from neuroalign.errors import some


def describe_file(path: Path) -> str:
    """Describe a stored object; raise when it is damaged or breaks the schema.

    Parameters
    ----------
    path : path
        A ``.nc`` file or a ``.zarr`` store.

    Returns
    -------
    str
        Kind, dims, coords and attrs, one a line.

    Raises
    ------
    FileNotFoundError, DataCorruptionError, SchemaError, ValueError
    """
    array = storage.load(path)
    schema.check(array, str(path))
    sizes = ", ".join(f"{dim} {size}" for dim, size in array.sizes.items())
    lines = [f"{path.name}: {array.attrs['kind']}", f"sizes: {sizes}"]
    lines.append(f"coords: {some(list(array.coords), limit=30)}")
    lines += [
        f"{key}: {value}" for key, value in array.attrs.items() if key not in ("kind", "provenance")
    ]
    return "\n".join(lines)
