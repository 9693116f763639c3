"""What a fitted MM-GPVAE can do: infer, judge, draw, go to a file and come back.

In: padded trials of one or both modalities. Out: arrays. `mm_gpvae` holds the public methods.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr

from neuroalign import storage
from neuroalign._device import resolve_device
from neuroalign.errors import LoadError
from neuroalign.latents._base import LatentModel
from neuroalign.latents._behaviour import Behaviour, check_labels, read_behaviour
from neuroalign.latents._fourier_gp import FourierBasis, find_circle, make_basis
from neuroalign.latents._mm_gpvae import HIGHEST, Batch, MultimodalNet, to_batch
from neuroalign.latents._mm_gpvae_params import pack_model, read_state, rebuild_net, unpack_model
from neuroalign.latents._trials import Trials

Array = npt.NDArray[Any]
# Trials inferred at once, waves at most (their covariance is a matrix), draws behind log_prob.
BLOCK, MOST_WAVES, DRAWS = 64, 800, 20
# Ratio of prior variances of the waves kept.
CONDITION = 1e4


class NetModel(LatentModel):
    """A net whose posterior is Gaussian in waves."""

    hidden: tuple[int, ...]
    seed: int
    _net: MultimodalNet
    _where: torch.device
    _mix: Array
    _centre: Array
    _scale: float
    _circle: int
    _bounds: tuple[float, float]

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the fitted model to one file.

        Parameters
        ----------
        path : path
            Ends in ``.nc`` or ``.zarr``.
        overwrite : bool

        Returns
        -------
        Path
        """
        return storage.save(pack_model(self), path, overwrite=overwrite)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path

        Returns
        -------
        MMGPVAE

        Raises
        ------
        LoadError
            When the file holds something else.
        """
        whole = storage.load(path)
        if not isinstance(whole, xr.Dataset) or whole.attrs.get("method") != cls.__name__:
            raise LoadError(
                f"{Path(path).name}: expected a saved {cls.__name__}, got another object. "
                "Use storage.load."
            )
        state = read_state(whole)
        model = cls(**state["config"])
        for name, value in unpack_model(whole, state).items():
            setattr(model, name, value)
        model._net = rebuild_net(model.params_, model.hidden)
        model._where = resolve_device("cpu")
        return model

    def _read_both(self, X: Any, y: Any, mask: Any) -> tuple[Trials, Behaviour | None]:
        trials = self._read(X, mask)
        if y is None:
            return trials, None
        check_labels(X, y)
        shown = read_behaviour(y, trials.inside.shape)
        n = self._net.sizes.n_channels
        if shown.values.shape[2] != n:
            raise ValueError(
                f"y: expected the {n} channels of fit, got {shown.values.shape[2]}. Pass the same."
            )
        return trials, shown.scale(self._centre, self._scale)

    def _used(self, trials: Trials) -> Array:
        return trials.observed[:, :, self.kept_]

    def _find_basis(self, n_bins: int) -> FourierBasis:
        circle = max(self._circle, find_circle(n_bins, self._bounds[1]))
        basis = make_basis(n_bins, circle, self._bounds[0], CONDITION)
        if len(basis.frequency) > MOST_WAVES:
            raise ValueError(
                f"X: expected trials whose latents need at most {MOST_WAVES} waves, got "
                f"{len(basis.frequency)} for {n_bins} bins. Cut trials, or raise the shortest "
                "timescale of timescale_range."
            )
        return basis

    def _blocks(
        self, Y: Array, observed: Array, shown: Behaviour | None
    ) -> Iterator[tuple[Batch, FourierBasis]]:
        basis = self._find_basis(Y.shape[1])
        for start in range(0, len(Y), BLOCK):
            rows = slice(start, start + BLOCK)
            part = None if shown is None else shown.take(rows)
            yield to_batch(Y[rows], observed[rows], part, torch.float64, self._where), basis

    def _infer(self, Y: Array, observed: Array, shown: Behaviour | None) -> tuple[Array, Array]:
        """Means of the latents and expected rates, (trial, time, latent or unit)."""
        means, rates = [], []
        with torch.no_grad():
            for batch, basis in self._blocks(Y, observed, shown):
                found = self._net.infer(batch, basis)
                means.append(found.mean.cpu().numpy())
                rates.append(torch.exp(self._net.expect_log_rate(found)).cpu().numpy())
        return np.concatenate(means), self._bound_rates(np.concatenate(rates))

    def _bound(self, Y: Array, observed: Array, shown: Behaviour | None) -> Array:
        draws = 1 if shown is None else DRAWS
        total = []
        devices = [] if self._where.type == "cpu" else [self._where]
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.seed)
            for batch, basis in self._blocks(Y, observed, shown):
                found = [self._net.bound(batch, basis, 1.0) for _ in range(draws)]
                total.append(torch.stack(found).mean(0).cpu().numpy())
        bound = np.concatenate(total)
        if shown is not None:
            bound -= shown.seen.sum(axis=(1, 2)) * np.log(self._scale)
        return bound

    def _take_out(self, means: Array) -> Array:
        return np.asarray(means - means @ self._mix.T)

    def _infer_arrays(self, Y: Array, observed: Array) -> Array:
        return self._take_out(self._infer(Y, observed, None)[0])

    def _rates_arrays(self, Y: Array, observed: Array) -> Array:
        return self._infer(Y, observed, None)[1]

    def _log_prob_arrays(self, Y: Array, observed: Array) -> Array:
        return self._bound(Y, observed, None)

    def _sample_arrays(
        self, n_trials: int, n_bins: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        net, basis = self._net, self._find_basis(n_bins)
        with torch.no_grad():
            waves = net.scale_waves(basis).cpu().numpy()
            loadings, offset = net.loadings.cpu().numpy(), net.offset.cpu().numpy()
        noise = rng.normal(size=(len(waves), n_trials, waves.shape[1]))
        z = np.moveaxis(noise @ waves, 0, -1)
        log_rate = z[..., : net.sizes.n_seen_neurally] @ loadings.T + offset
        counts = rng.poisson(np.exp(np.minimum(log_rate, HIGHEST)))
        return counts.astype(np.float64), self._take_out(z)
