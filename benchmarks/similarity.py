"""All pairs of layers against the peers.

Run from the repository root: ``OMP_NUM_THREADS=1 python -m benchmarks.similarity --quick``. The
limit is the products that no exact method avoids: half of a symmetric Gram matrix (n, p) a layer.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.harness import Race, main
from neuroalign.similarity import compare

Inputs = tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]


def simulate(layers: int, n: int, p: int, share: int = 1) -> Inputs:
    """Two models whose layers mix the same latent causes of n stimuli more and more."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(n, 64))
    sides = [
        {
            f"layer{i:02d}": (
                causes @ rng.normal(size=(64, p)) / 8 + (1 + i / 8) * rng.normal(size=(n, p))
            ).astype(np.float32)
            for i in range(layers)
        }
        for _ in range(2)
    ]
    return sides[0], sides[1], share


def align(inputs: Inputs) -> np.ndarray:
    """Debiased CKA of all pairs."""
    return _part(compare(inputs[0], inputs[1], "cka_debiased")["score"].values, inputs[2])


def correlate(inputs: Inputs) -> np.ndarray:
    """RSA of all pairs: correlation distances, compared by Pearson correlation."""
    return _part(compare(inputs[0], inputs[1], "rsa")["score"].values, inputs[2])


def _part(scores: np.ndarray, share: int) -> np.ndarray:
    """Keep the pairs that a slow peer does."""
    return scores.ravel()[::share]


def align_ckatorch(inputs: Inputs) -> np.ndarray:
    """Each pair by ``cka_base`` of ckatorch, as it comes."""
    import ckatorch  # noqa: PLC0415
    import torch  # noqa: PLC0415

    ours, theirs = (list(map(torch.from_numpy, side.values())) for side in inputs[:2])
    pairs = [(x, y) for x in ours for y in theirs][:: inputs[2]]
    return np.array([float(ckatorch.cka_base(x, y, unbiased=True)) for x, y in pairs])


def align_ckatorch_grams(inputs: Inputs) -> np.ndarray:
    """Gram matrices once, in single precision, and ``hsic1`` of ckatorch on pairs of them."""
    import ckatorch  # noqa: PLC0415
    import torch  # noqa: PLC0415

    ours, theirs = (
        torch.stack([ckatorch.linear_kernel(torch.from_numpy(X)) for X in side.values()])
        for side in inputs[:2]
    )
    own, other = (ckatorch.hsic1(grams, grams) for grams in (ours, theirs))
    pairs = torch.stack([ckatorch.hsic1(K.expand_as(theirs), theirs) for K in ours])
    return np.asarray(pairs / torch.sqrt(own[:, None] * other)).ravel()


def align_ckatorch_by_hand(inputs: Inputs) -> np.ndarray:
    """What ``cka_base`` of ckatorch does inside, taken apart so that each kernel is centred once.

    All its time goes into the Gram matrices, of which ours, in single precision and one triangle,
    are a fourth of the work: no exact method is five times as fast.
    """
    import ckatorch  # noqa: PLC0415
    import torch  # noqa: PLC0415

    ours, theirs = (
        [
            ckatorch.center_gram_matrix(
                ckatorch.linear_kernel(torch.from_numpy(X).double()), unbiased=True
            )
            for X in side.values()
        ]
        for side in inputs[:2]
    )
    return np.array(
        [
            float(K.ravel().dot(L.ravel()) / (torch.linalg.norm(K) * torch.linalg.norm(L)))
            for K in ours
            for L in theirs
        ]
    )


def correlate_rsatoolbox(inputs: Inputs) -> np.ndarray:
    """Each RDM once, then all pairs."""
    import rsatoolbox  # noqa: PLC0415

    stacks = [
        rsatoolbox.rdm.calc_rdm(
            [rsatoolbox.data.Dataset(X.astype(np.float64)) for X in side.values()],
            method="correlation",
        )
        for side in inputs[:2]
    ]
    return np.asarray(rsatoolbox.rdm.compare(*stacks, method="corr")).ravel()


def count_flops(layers: int, n: int, p: int, share: int = 1) -> float:
    """One triangle of the Gram matrix of each layer, and the products of all pairs of them."""
    return float(2 * layers * n * n * p + layers**2 * n * n)


MODULE = "benchmarks.similarity"
FULL = {"layers": 24, "n": 1000, "p": 4096}
QUICK = {"layers": 6, "n": 400, "p": 1024}


def _race(name: str, ours: str, peer: str, theirs: str, share: int = 1) -> Race:
    sizes: list[dict[str, Any]] = [FULL | {"share": share}, QUICK | {"share": min(share, 12)}]
    return Race(name, MODULE, "simulate", ours, peer, theirs, *sizes, flops="count_flops")


RACES = [_race("rsa pearson", "correlate", "rsatoolbox", "correlate_rsatoolbox")]
if find_spec("ckatorch") is not None:
    RACES += [
        _race(
            "cka debiased", "align", "ckatorch, timed on a share of the pairs", "align_ckatorch", 48
        ),
        _race("cka debiased", "align", "ckatorch, Grams once", "align_ckatorch_grams"),
        _race("cka debiased", "align", "ckatorch taken apart", "align_ckatorch_by_hand"),
    ]


if __name__ == "__main__":
    main(RACES)
