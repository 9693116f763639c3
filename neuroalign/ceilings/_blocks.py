"""Chunked responses a few neuroids at a time, so that all trials of a study need not be held."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import xarray as xr

# [bytes] that all samples of the neuroids held at once may take as float64.
BLOCK = 64 * 1024**2


def find_edges(sizes: Sequence[int], n_others: int) -> list[int]:
    """Borders of blocks of neuroids: chunks are joined up to BLOCK, and cut when larger.

    Borders of chunks stay borders, because what lies together on disk is best read once.

    Parameters
    ----------
    sizes : sequence of int
        Neuroids in each chunk.
    n_others : int
        Numbers of one neuroid: samples times time points.
    """
    width = max(1, BLOCK // (8 * max(1, n_others)))
    edges, held = [0], width
    for size in sizes:
        if held + size <= width:
            edges[-1], held = edges[-1] + size, held + size
            continue
        start, steps = edges[-1], max(1, -(-size // width))
        edges += [start + size * step // steps for step in range(1, steps + 1)]
        held = size if steps == 1 else width
    return edges


def by_neuroid(
    responses: xr.DataArray, compute: Callable[[xr.DataArray], xr.Dataset]
) -> xr.Dataset:
    """Compute a ceiling of chunked responses (sample, neuroid[, time]) block by block.

    Neuroids do not depend on each other, so that the parts are those of the whole.
    """
    n_others = responses.size // max(1, responses.sizes["neuroid"])
    edges = find_edges(responses.chunksizes["neuroid"], n_others)
    parts = [compute(responses.isel(neuroid=slice(*span)).compute()) for span in pairwise(edges)]
    if len(parts) == 1:
        return parts[0]
    joined = xr.concat(
        parts,
        "neuroid",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    return joined.assign_attrs(n_clipped=sum(int(part.attrs["n_clipped"]) for part in parts))
