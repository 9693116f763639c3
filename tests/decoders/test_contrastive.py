"""The losses: naive loops, rows that sum to one, and float32 whatever the net computed in."""

import numpy as np
import pytest
import torch

from neuroalign.decoders._contrastive import (
    Contrast,
    Mixing,
    anneal,
    compute_bimixco,
    compute_soft_clip,
    draw_mixing,
)


def make_batch(rng: np.random.Generator, n: int = 7) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(n, 5)), rng.normal(size=(n, 5))


def as_tensors(*parts: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(part.astype(np.float32)) for part in parts]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def log_softmax(row: list[float]) -> np.ndarray:
    values = np.array(row) - max(row)
    return values - np.log(np.exp(values).sum())


def bimixco_by_loops(
    x: np.ndarray, t: np.ndarray, partner: list[int], share: list[float], tau: float
) -> float:
    n, forward, backward = len(x), 0.0, 0.0
    for i in range(n):
        p = log_softmax([cosine(x[i], t[m]) / tau for m in range(n)])
        forward -= share[i] * p[i] + (1 - share[i]) * p[partner[i]]
    for j in range(n):
        p = log_softmax([cosine(x[m], t[j]) / tau for m in range(n)])
        backward -= share[j] * p[j]
        backward -= sum((1 - share[m]) * p[m] for m in range(n) if partner[m] == j)
    return (forward + backward) / n / 2


@pytest.mark.parametrize("temperature", [0.006, 0.05, 1.0])
def test_bimixco_equals_a_naive_loop(rng: np.random.Generator, temperature: float) -> None:
    x, t = make_batch(rng)
    partner, share = [2, 1, 0, 4, 3, 5, 6], [0.3, 0.2, 1.0, 0.9, 0.5, 0.0, 1.0]
    mixing = Mixing(torch.tensor(partner), torch.tensor(share))
    got = float(compute_bimixco(*as_tensors(x, t), mixing, temperature))
    assert got == pytest.approx(bimixco_by_loops(x, t, partner, share, temperature), rel=1e-4)


@pytest.mark.parametrize("temperature", [0.004, 0.05])
def test_soft_clip_equals_a_naive_loop(rng: np.random.Generator, temperature: float) -> None:
    x, t = make_batch(rng)
    n, total = len(x), 0.0
    for i in range(n):
        q = np.exp(log_softmax([cosine(t[i], t[m]) / temperature for m in range(n)]))
        total -= (q * log_softmax([cosine(x[i], t[m]) / temperature for m in range(n)])).sum()
        total -= (q * log_softmax([cosine(t[i], x[m]) / temperature for m in range(n)])).sum()
    got = float(compute_soft_clip(*as_tensors(x, t), temperature))
    assert got == pytest.approx(total / n / 2, rel=1e-4)


def test_a_row_that_is_its_own_partner_keeps_all_of_itself() -> None:
    """Assigned rather than added, row 0 would sum to 0.7 and row 1 to nothing."""
    mixing = Mixing(torch.tensor([0, 1, 3, 2]), torch.tensor([0.3, 1.0, 0.4, 1.0]))
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.4, 0.6], [0, 0, 0, 1]]
    np.testing.assert_allclose(mixing.targets().numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_targets_always_sum_to_one(seed: int) -> None:
    torch.manual_seed(seed)
    own = 0
    for n in (1, 2, 3, 33):
        for _ in range(40):
            mixing = draw_mixing(n, 0.15, 0.5)
            own += int((mixing.partner == torch.arange(n)).sum())
            np.testing.assert_allclose(mixing.targets().sum(dim=1), 1.0, atol=1e-6)
    assert own > 40, "the case that went wrong has to occur"


def test_mixtures_are_what_the_targets_say() -> None:
    torch.manual_seed(0)
    mixing, values = draw_mixing(20, 0.15, 0.5), torch.randn(20, 3)
    np.testing.assert_allclose(mixing.apply(values), mixing.targets() @ values, atol=1e-6)
    np.testing.assert_array_equal(mixing.apply(values)[mixing.share == 1],
                                  values[mixing.share == 1])  # fmt: skip


def test_shares_are_beta_and_half_the_rows_stay() -> None:
    torch.manual_seed(0)
    share = draw_mixing(20000, 0.15, 0.5).share
    mixed = share[share < 1].double()
    # Beta(b, b): mean 1/2, variance 1 / (4 (2 b + 1)); shares next to 1 round to it.
    assert abs(float((share == 1).double().mean()) - 0.5) < 0.03
    assert abs(float(mixed.var()) - 1 / (4 * 1.3)) < 0.02


def test_logits_stay_in_float32_where_the_rest_is_half(rng: np.random.Generator) -> None:
    x, t = as_tensors(*make_batch(rng))
    mixing = Mixing(torch.arange(7).flip(0), torch.full((7,), 0.5))
    plain = [compute_bimixco(x, t, mixing, 0.006), compute_soft_clip(x, t, 0.006)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (x @ t.T).dtype == torch.bfloat16
        half = [compute_bimixco(x, t, mixing, 0.006), compute_soft_clip(x, t, 0.006)]
    assert [part.dtype for part in half] == [torch.float32] * 2
    assert half == plain
    given = compute_soft_clip(x.bfloat16(), t, 0.006)
    assert given.dtype == torch.float32


def test_the_perfect_prediction_has_the_least_loss(rng: np.random.Generator) -> None:
    x, t = as_tensors(*make_batch(rng))
    assert compute_soft_clip(t, t, 0.05) < compute_soft_clip(x, t, 0.05)
    whole = Mixing(torch.arange(7), torch.ones(7))
    assert compute_bimixco(t, t, whole, 0.05) < compute_bimixco(x, t, whole, 0.05)


def test_the_temperature_goes_along_half_a_cosine() -> None:
    way = [float(anneal(torch.tensor(share), 0.004, 0.0075)) for share in (0, 0.5, 1.0, 2.0)]
    np.testing.assert_allclose(way, [0.004, 0.00575, 0.0075, 0.0075], rtol=1e-5)


def test_a_run_mixes_first_and_softens_then(monkeypatch: pytest.MonkeyPatch) -> None:
    from neuroalign.decoders import _contrastive
    from neuroalign.decoders._backbone import EmbeddingNet, Projector, ResidualPerceptron, ZScore

    called = []
    for name in ("compute_bimixco", "compute_soft_clip"):
        inner = getattr(_contrastive, name)

        def note(*arguments: object, name: str = name, inner: object = inner) -> object:
            called.append((name, float(arguments[-1])))  # type: ignore[arg-type]
            return inner(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(_contrastive, name, note)
    scale = ZScore(np.zeros(4, np.float32), np.ones(4, np.float32))
    backbone = ResidualPerceptron(4, 3, 8, 1, (0.5, 0.15))
    net = EmbeddingNet(scale, backbone, Projector(3, 8), 3)
    contrast = Contrast(5, 2, 0.15, 0.5, 0.05, (0.1, 0.2), 1.0)
    for _ in range(5):
        assert torch.isfinite(contrast.lose(net, (torch.randn(6, 4), torch.randn(6, 3))))
    assert [name for name, _ in called] == ["compute_bimixco"] * 2 + ["compute_soft_clip"] * 3
    np.testing.assert_allclose([value for _, value in called], [0.05, 0.05, 0.1, 0.15, 0.2])
    assert int(net.step) == 5
