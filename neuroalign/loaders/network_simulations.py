"""Networks with known communities: in movements that come and go, and in weighted graphs.

Out: a `LatentSimulation` of recordings, or a `GraphSimulation`. To add a generator: draw, and
return the truth and the best score in reach beside the data.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.metrics import normalized_mutual_info_score

from neuroalign.errors import choose
from neuroalign.loaders._latent_trials import LatentSimulation

Array = npt.NDArray[Any]
LOG_SPREAD = 0.5


class GraphSimulation(NamedTuple):
    """A simulated weighted graph.

    Attributes
    ----------
    graph : DataArray (neuroid, neuroid_other)
        Symmetric weights; 0 where there is no edge, and on the diagonal.
    truth : Dataset
        ``block`` (neuroid), ``propensity`` (neuroid), ``edge_probability`` and ``weight_mean``
        (block_id, block_other).
    oracle : dict of str to float
        ``nmi``: of the labels that are most likely for each neuroid when all parameters and all
        other labels are known. ``detectability``: above 1, communities can be told from the edges
        alone.
    """

    graph: xr.DataArray
    truth: xr.Dataset
    oracle: dict[str, float]


def simulate_communities(
    n_subjects: int = 6,
    n_bins: int = 300,
    n_neuroids: int = 40,
    *,
    n_motifs: int = 3,
    community_size: int = 8,
    correlation: float = 0.81,
    missing: float = 0.0,
    sampling_rate: float = 4.0,
    seed: int = 0,
) -> LatentSimulation:
    """Recordings in which communities of neuroids move together for a while, in some subjects.

    Parameters
    ----------
    n_subjects, n_bins, n_neuroids : int
        ``n_neuroids`` at least two communities.
    n_motifs : int
        Each has a window of time, two thirds of the subjects, and two communities.
    community_size : int
        Neuroids in one community.
    correlation : float
        Between the derivatives of two members while the motif lasts.
    missing : float
        Chance that a neuroid is not identified in a subject: its trace is NaN.
    sampling_rate : float
        Hz.
    seed : int

    Returns
    -------
    LatentSimulation
        ``responses`` (sample, neuroid, time), one sample a subject. ``truth`` holds for each
        ``component`` its ``time_course`` (time, component), ``subject_share`` (sample,
        component), ``community`` (component, neuroid), 0 for none, and ``derivatives``.
        ``oracle["shared_r2"]``: variance of a member's derivative that its community explains.

    Raises
    ------
    ValueError
        When two communities are larger than the population, or for a correlation outside 0 to 1.

    References
    ----------
    Dyballa et al. (2024), ICLR, arXiv:2402.14102: the setting.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_communities
    >>> found = simulate_communities(n_subjects=3, n_bins=60)
    >>> found.responses.shape, found.truth["community"].shape
    ((3, 40, 60), (3, 40))
    """
    if not 1 <= community_size <= n_neuroids // 2:
        raise ValueError(
            f"community_size: expected 1 to {n_neuroids // 2}, half of n_neuroids, got "
            f"{community_size}. Ask for fewer, or for more neuroids."
        )
    if not 0 <= correlation <= 1:
        raise ValueError(f"correlation: expected 0 to 1, got {correlation}. Pass 0.81, say.")
    rng = np.random.default_rng(seed)
    length = max(1, int(n_bins / (n_motifs + 0.5)))
    course = np.zeros((n_bins, n_motifs))
    share = np.zeros((n_subjects, n_motifs))
    community = np.zeros((n_motifs, n_neuroids), dtype=np.int64)
    moves = rng.normal(size=(n_subjects, n_neuroids, n_bins))
    explained = np.zeros(2)
    for motif in range(n_motifs):
        start = int((motif + 0.5) * n_bins / (n_motifs + 0.5)) - length // 2
        window = slice(max(start, 0), max(start, 0) + length)
        course[window, motif] = 1.0
        chosen = rng.permutation(n_subjects)[: max(1, round(2 * n_subjects / 3))]
        share[chosen, motif] = 1.0
        members = rng.permutation(n_neuroids)[: 2 * community_size].reshape(2, -1)
        for label, group in enumerate(members, start=1):
            community[motif, group] = label
            own = moves[np.ix_(chosen, group)][..., window]
            drive = rng.normal(size=(len(chosen), 1, own.shape[2]))
            joined = np.sqrt(correlation) * drive + np.sqrt(1 - correlation) * own
            explained += [((joined - np.sqrt(correlation) * drive) ** 2).sum(), (joined**2).sum()]
            moves[np.ix_(chosen, group, np.arange(n_bins)[window])] = joined
    values = np.cumsum(moves, axis=2) / sampling_rate
    lost = rng.uniform(size=(n_subjects, n_neuroids)) < missing
    values[lost] = np.nan
    names = np.array([f"sub-{number + 1:02d}" for number in range(n_subjects)])
    coords: dict[str, Any] = {
        "stimulus": ("sample", np.full(n_subjects, "exposure")),
        "repeat": ("sample", np.arange(n_subjects)),
        "subject": ("sample", names),
        "neuroid": np.array([f"neuron-{i:03d}" for i in range(n_neuroids)]),
        "time": np.arange(n_bins) / sampling_rate,
    }
    attrs = {
        "kind": "responses", "modality": "calcium", "units": "a.u.",
        "sampling_rate": float(sampling_rate),
    }  # fmt: skip
    responses = xr.DataArray(
        values.astype(np.float32), dims=("sample", "neuroid", "time"), coords=coords, attrs=attrs
    )
    truth = xr.Dataset(
        {
            "time_course": (("time", "component"), course),
            "subject_share": (("sample", "component"), share),
            "community": (("component", "neuroid"), community),
            "derivatives": (("sample", "neuroid", "time"), moves.astype(np.float32)),
        },
        coords=coords,
    )
    return LatentSimulation(responses, truth, {"shared_r2": float(1 - explained[0] / explained[1])})


def _draw_exponential(mean: Array, rng: np.random.Generator) -> Array:
    return rng.exponential(mean)


def _draw_lognormal(mean: Array, rng: np.random.Generator) -> Array:
    return np.asarray(rng.lognormal(np.log(mean) - LOG_SPREAD**2 / 2, LOG_SPREAD))


def _weigh_exponential(weights: Array, mean: Array) -> Array:
    return np.asarray(-np.log(mean) - weights / mean)


def _weigh_lognormal(weights: Array, mean: Array) -> Array:
    logs = np.log(np.where(weights > 0, weights, 1.0))
    return np.asarray(-((logs - np.log(mean) + LOG_SPREAD**2 / 2) ** 2) / (2 * LOG_SPREAD**2))


WEIGHTS: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "exponential": (_draw_exponential, _weigh_exponential),
    "lognormal": (_draw_lognormal, _weigh_lognormal),
}


def simulate_block_graph(
    n_neuroids: int = 125,
    n_blocks: int = 5,
    *,
    p_in: float = 0.45,
    p_out: float = 0.15,
    mean_in: float = 1.0,
    mean_out: float = 0.6,
    weights: str = "exponential",
    degree_spread: float = 0.0,
    seed: int = 0,
) -> GraphSimulation:
    """A weighted graph with planted blocks.

    Parameters
    ----------
    n_neuroids, n_blocks : int
        Blocks differ by at most one neuroid in size.
    p_in, p_out : float
        Chance of an edge within a block, and between two.
    mean_in, mean_out : float
        Mean weight of an edge within a block, and between two.
    weights : {"exponential", "lognormal"}
        Log-normal weights have a logarithm of standard deviation 0.5.
    degree_spread : float
        Standard deviation of the logarithm of a neuroid's propensity to have edges; chances are
        cut at 1.
    seed : int

    Returns
    -------
    GraphSimulation

    Raises
    ------
    ValueError
        For chances outside 0 to 1, or an unknown kind of weights.

    References
    ----------
    Aicher, Jacobs & Clauset (2015), J. Complex Netw. 3, doi:10.1093/comnet/cnu026. Decelle et al.
    (2011), Phys. Rev. E 84, 066106: the limit of ``detectability`` (Kesten & Stigum).

    Examples
    --------
    >>> from neuroalign.loaders import simulate_block_graph
    >>> found = simulate_block_graph(40, 2)
    >>> found.graph.dims, bool(found.oracle["detectability"] > 1)
    (('neuroid', 'neuroid_other'), True)
    """
    draw, weigh = choose(WEIGHTS, weights, "weights")
    for name, chance in (("p_in", p_in), ("p_out", p_out)):
        if not 0 <= chance <= 1:
            raise ValueError(f"{name}: expected 0 to 1, got {chance}. Pass a chance.")
    rng = np.random.default_rng(seed)
    block = rng.permutation(np.arange(n_neuroids) % n_blocks)
    inside = np.eye(n_blocks, dtype=bool)
    chances = np.where(inside, p_in, p_out)
    mean = np.where(inside, mean_in, mean_out)
    # Of mean one, so that chances keep their meaning.
    propensity = rng.lognormal(-(degree_spread**2) / 2, degree_spread, size=n_neuroids)
    p = np.minimum(chances[block][:, block] * np.outer(propensity, propensity), 1.0)
    upper = np.triu(rng.uniform(size=p.shape) < p, 1)
    graph = np.where(upper, draw(mean[block][:, block], rng), 0.0)
    graph = graph + graph.T
    found = np.array([
        _label(i, graph, block, propensity, chances, mean, weigh) for i in range(n_neuroids)
    ])  # fmt: skip
    a, b = n_neuroids * p_in, n_neuroids * p_out
    margin = n_blocks * (a + (n_blocks - 1) * b)
    oracle = {
        "nmi": float(normalized_mutual_info_score(block, found)),
        "detectability": float((a - b) ** 2 / margin) if margin > 0 else 0.0,
    }
    names = np.array([f"neuron-{i:03d}" for i in range(n_neuroids)])
    data = xr.DataArray(
        graph, dims=("neuroid", "neuroid_other"), coords={"neuroid": names, "neuroid_other": names}
    )
    truth = xr.Dataset(
        {
            "block": ("neuroid", block),
            "propensity": ("neuroid", propensity),
            "edge_probability": (("block_id", "block_other"), chances),
            "weight_mean": (("block_id", "block_other"), mean),
        },
        coords={"neuroid": names},
    )
    return GraphSimulation(data, truth, oracle)


def _label(
    i: int,
    graph: Array,
    block: Array,
    propensity: Array,
    chance: Array,
    mean: Array,
    weigh: Callable[[Array, Array], Array],
) -> int:
    """The block that is most likely for one neuroid, all else known."""
    others = np.arange(len(block)) != i
    weights = graph[i, others][:, None]
    p = np.clip(chance[block[others]] * propensity[i] * propensity[others][:, None], 1e-12, 1.0)
    edge = weights > 0
    rest = np.log(np.maximum(1.0 - p, 1e-12))
    score = np.where(edge, np.log(p), rest)
    own = weigh(weights, mean[block[others]])
    return int((score + np.where(edge, own, 0.0)).sum(axis=0).argmax())
