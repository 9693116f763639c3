"""The hat matrix itself; the rules made of it are held against refits in test_gram.py."""

import numpy as np
import pytest

from neuroalign import _hat, _linalg


@pytest.mark.parametrize("shape", [(30, 5), (12, 25)])
def test_the_basis_spans_the_fit_at_any_penalty(
    shape: tuple[int, int], rng: np.random.Generator
) -> None:
    X = rng.normal(size=shape) + 1.0
    spectrum = _linalg.eigh_gram(X)
    basis = _hat.unit_basis(spectrum)
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-9)
    centred = X - X.mean(axis=0)
    hat = centred @ np.linalg.solve(centred.T @ centred + 2 * np.eye(shape[1]), centred.T)
    ours = (basis * spectrum.values * _linalg.shrink(spectrum.values, 2.0)) @ basis.T
    np.testing.assert_allclose(ours, hat, atol=1e-9)


def test_squares_are_summed_by_column(rng: np.random.Generator) -> None:
    values = rng.normal(size=(7, 3))
    np.testing.assert_allclose(_hat.sum_squares(values), (values**2).sum(axis=0))
