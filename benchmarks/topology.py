"""Persistence against the libraries it rests on: what labels, checks and provenance cost.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.topology --quick``.
"""

import numpy as np
from ripser import ripser

from benchmarks.harness import Race, main
from neuroalign.topology import compute_persistence, take_bars


def simulate_points(n: int, p: int) -> np.ndarray:
    """A noisy ring in p dimensions."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, n)
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) @ rng.normal(size=(2, p))
    # First calls import what they need, which is no part of the job.
    compute_persistence(ring[:5])
    ripser(ring[:5])
    return ring + 0.3 * rng.normal(size=(n, p))


def _sort(bars: np.ndarray) -> np.ndarray:
    """Bars in one order, without the one that never dies."""
    finite = bars[np.isfinite(bars[:, 1])]
    return finite[np.lexsort(finite.T)]


def run_ours(points: np.ndarray) -> np.ndarray:
    """Components and loops."""
    return _sort(take_bars(compute_persistence(points), 1))


def run_landmarks(points: np.ndarray) -> np.ndarray:
    """The same from a fifth of the points: length of the longest loop."""
    bars = take_bars(compute_persistence(points, landmarks=len(points) // 5), 1)
    return np.array([bars[0, 1] - bars[0, 0]])


def run_ripser(points: np.ndarray) -> np.ndarray:
    """The library itself."""
    return _sort(ripser(points)["dgms"][1])


def run_ripser_landmarks(points: np.ndarray) -> np.ndarray:
    """The library with its own greedy choice, from the point that ours starts from."""
    first = int(np.random.default_rng(0).integers(len(points)))
    bars = ripser(np.roll(points, -first, axis=0), n_perm=len(points) // 5)["dgms"][1]
    return np.array([np.max(bars[:, 1] - bars[:, 0])])


def _race(name: str, ours: str, peer: str, theirs: str) -> Race:
    return Race(
        name,
        module="benchmarks.topology",
        setup="simulate_points",
        ours=ours,
        peer=peer,
        theirs=theirs,
        full={"n": 1000, "p": 20},
        quick={"n": 300, "p": 20},
    )


RACES = [
    _race("persistence, loops", "run_ours", "ripser", "run_ripser"),
    _race("persistence, landmarks", "run_landmarks", "ripser n_perm", "run_ripser_landmarks"),
]

if __name__ == "__main__":
    main(RACES)
