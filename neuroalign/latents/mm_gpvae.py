"""Smooth latents that two modalities share, and those of each alone: spikes with behaviour.

In: counts (sample, neuroid, time) and behaviour or images of the same bins. Out: latents in three
groups, rates, and behaviour predicted from either modality or both.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr

from neuroalign._device import resolve_device
from neuroalign._training import TrainingPlan
from neuroalign.latents._behaviour import check_labels, read_behaviour
from neuroalign.latents._factors import check_count
from neuroalign.latents._fourier_gp import find_circle, read_timescale
from neuroalign.latents._mm_gpvae import (
    Sizes,
    build_net,
    has_settled,
    to_batch,
    train_net,
)
from neuroalign.latents._mm_gpvae_model import NetModel
from neuroalign.latents._mm_gpvae_params import (
    describe_net,
    find_absorbed,
    name_groups,
)
from neuroalign.latents._trials import Labels

Array = npt.NDArray[Any]
# Bins of the timescale at the start, and its range as multiples of the start.
USUAL = 6.0, (0.5, 3.0)
# Largest norm of a gradient.
CLIP = 1e4


class MMGPVAE(NetModel):
    """Gaussian-process latents shared by spikes and behaviour, and latents private to each.

    Parameters
    ----------
    n_shared : int
        Latents that drive both.
    n_neural, n_behaviour : int
        Latents of the spikes alone and of the behaviour alone; 0 for none.
    hidden : tuple of int
        Widths of the hidden layers of each encoder; the decoder of behaviour has them in reverse.
    timescale : float or None
        Where the fit begins, in seconds (bins where X has no ``time``); 6 bins when None.
    timescale_range : (float, float) or None
        Shortest and longest that can be learned; from half to 3 times ``timescale`` when None.
    modality_weight : float
        Of the log likelihood of the behaviour against that of the spikes: below 1 where many
        channels or pixels would drown the spikes.
    epochs : int
    batch_size : int
        Trials of a step.
    learning_rate : float
    tol : float
        The fit counts as converged when the bound of the last tenth of epochs is less than this
        share above that of the tenth before.
    seed : int
        Of the weights, the order of trials and the draws.
    device : str

    Attributes
    ----------
    params_ : Dataset
        ``loadings`` (neuroid, latent), ``offset``, ``timescale`` and ``variance`` (latent,),
        ``group`` (latent,) of neural, shared or behaviour; ``absorbed`` (latent, latent_other),
        how much of each shared latent is taken out of each private one; ``behaviour_mean``
        (channel,), ``behaviour_scale`` and ``behaviour_noise`` (share of variance); and all
        weights of the net.
    history_ : dict of str -> list of float
        "objective": the bound, in nats per trial, of each epoch.
    converged_ : bool
    warnings_ : list of str

    Raises
    ------
    ValueError
        For options out of range, values that are not counts, or behaviour that does not vary.
    SchemaError
        When behaviour does not fit the trials.

    Notes
    -----
    Counts are Poisson with log rates linear in their latents, expected in closed form; behaviour is
    normal about a net of its latents, expected by one draw. Encoders work bin by bin; their means
    and precisions join the prior in an exact Gaussian posterior of Fourier coefficients, so that
    trials may be ragged, entries hidden, and a modality missing: its encoder is then left out.
    Without y, this is a model of the spikes alone, without latents of the behaviour; nothing then
    tells which of its latents is the shared one: the groups are names without meaning. A private
    latent can hold a multiple of a shared one, which the decoder undoes: latents come with that
    taken out (``absorbed``). Images are flattened. Predicted rates are at most the largest count
    that the neuroid showed in a bin of training. A modality is missing where y is left out of
    ``transform`` and the like, or where its entries are NaN: its latents then keep their prior.
    ``save`` writes a fitted model to one file, ``MMGPVAE.load`` reads it.

    References
    ----------
    Gondur, Sikandar, Schaffer, Aoi & Keeley (2024), ICLR, arXiv:2310.03111, sections 2 and 3.

    Examples
    --------
    >>> from neuroalign.loaders import simulate_gaussian_processes
    >>> data = simulate_gaussian_processes(8, 20, 10, 5)
    >>> model = MMGPVAE(epochs=5, tol=1.0).fit(data.responses, data.behaviour)
    >>> model.transform(data.responses, data.behaviour).shape
    (8, 20, 3)
    >>> model.predict_behaviour(data.responses).shape
    (8, 5, 20)
    """

    identifiability_ = "affine"
    log_prob_kind_ = "elbo"
    supervised_ = True

    def __init__(
        self, n_shared: int = 1, n_neural: int = 1, n_behaviour: int = 1, *,
        hidden: tuple[int, ...] = (64, 64), timescale: float | None = None,
        timescale_range: tuple[float, float] | None = None, modality_weight: float = 1.0,
        epochs: int = 100, batch_size: int = 20, learning_rate: float = 5e-3, tol: float = 1e-3,
        seed: int = 0, device: str = "cpu",
    ) -> None:  # fmt: skip
        self.n_shared = n_shared
        self.n_neural = n_neural
        self.n_behaviour = n_behaviour
        self.hidden = hidden
        self.timescale = timescale
        self.timescale_range = timescale_range
        self.modality_weight = modality_weight
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.tol = tol
        self.seed = seed
        self.device = device

    def fit(self, X: Any, y: Any = None, *, mask: Any = None) -> Self:
        """Fit to trials of spikes, and behaviour where given.

        Parameters
        ----------
        X : DataArray (sample, neuroid, time) or (sample, neuroid), array alike, or list of arrays
            Counts; NaN, and bins outside coord ``valid``, are not observed.
        y : DataArray, array or list of arrays, optional
            Behaviour of the same trials and bins. DataArray: dims ``sample``, ``time`` and any
            others, which are flattened, or (sample, channel) of continuous bins. Arrays: (sample,
            channel, time), or images (sample, time, row, column, ...). A list holds one (channel,
            time) a trial. NaN is not observed.
        mask : bool, shape of X or (neuroid,), optional
            True hides an entry, or a whole unit.

        Returns
        -------
        MMGPVAE
        """
        check_labels(X, y)
        return super().fit(X, y, mask=mask)

    def transform(self, X: Any, y: Any = None, *, mask: Any = None) -> Any:
        """Infer latents from spikes, and behaviour where given.

        Parameters
        ----------
        X : as in `fit`
        y : as in `fit`, optional
            Without it the latents of the behaviour are at their mean, 0.
        mask : bool, shape of X or (neuroid,), optional

        Returns
        -------
        DataArray (sample, time, latent) or (sample, latent), array alike, or list of arrays
            Neural, shared, behaviour: coord ``group`` on ``latent``.
        """
        trials, shown = self._read_both(X, y, mask)
        found = self._infer(trials.Y[:, :, self.kept_], self._used(trials), shown)
        wrapped = trials.wrap_latents(self._take_out(found[0]))
        if isinstance(wrapped, xr.DataArray):
            return wrapped.assign_coords(group=("latent", name_groups(self._net.sizes)))
        return wrapped

    def predict_rates(self, X: Any, y: Any = None, *, mask: Any = None) -> Any:
        """Expected value of every unit in every bin, from spikes, and behaviour where given.

        Parameters
        ----------
        X, y, mask : as in `transform`

        Returns
        -------
        DataArray (sample, neuroid, time) or (sample, neuroid), array alike, or list of arrays
        """
        trials, shown = self._read_both(X, y, mask)
        rates = np.tile(self.mean_rate_, (*trials.inside.shape, 1))
        used = self._used(trials)
        rates[:, :, self.kept_] = self._infer(trials.Y[:, :, self.kept_], used, shown)[1]
        return trials.wrap_rates(rates, self._labels)

    def predict_behaviour(self, X: Any, y: Any = None, *, mask: Any = None) -> Any:
        """Behaviour of every bin, decoded from the mean of the latents.

        Parameters
        ----------
        X, y, mask : as in `transform`

        Returns
        -------
        array (sample, channel, time) or list of arrays (channel, time)
            NaN after a trial's end; images flattened.

        Raises
        ------
        ValueError
            When the model was fitted without behaviour.
        """
        trials, shown = self._read_both(X, y, mask)
        if not self._net.sizes.n_channels:
            raise ValueError(
                "X: expected a model fitted with behaviour, got one of spikes alone. Pass y to fit."
            )
        found = self._infer(trials.Y[:, :, self.kept_], self._used(trials), shown)[0]
        with torch.no_grad():
            told = self._net.decode(torch.as_tensor(found, device=self._where)).cpu().numpy()
        told = np.where(trials.inside[..., None], told * self._scale + self._centre, np.nan)
        if isinstance(X, list | tuple):
            lengths = trials.inside.sum(axis=1)
            return [one[:n].T for one, n in zip(told, lengths, strict=True)]
        return told.transpose(0, 2, 1)

    def log_prob(self, X: Any, y: Any = None, *, mask: Any = None) -> Any:
        """Bound on the log likelihood of spikes, and of the behaviour where given, in nats.

        Parameters
        ----------
        X, y, mask : as in `transform`

        Returns
        -------
        DataArray (sample,) or (run,), or array (trial,)
        """
        trials, shown = self._read_both(X, y, mask)
        return trials.wrap_trials(
            self._bound(trials.Y[:, :, self.kept_], self._used(trials), shown)
        )

    def _models_counts(self) -> bool:
        return True

    def _check_options(self, step: float, n_bins: int) -> float:
        for name in ("n_shared", "epochs", "batch_size"):
            check_count(getattr(self, name), name)
        for name in ("n_neural", "n_behaviour"):
            if getattr(self, name) != 0:
                check_count(getattr(self, name), name)
        for width in self.hidden:
            check_count(width, "hidden")
        if not self.modality_weight > 0:
            raise ValueError(
                f"modality_weight: expected a number > 0, got {self.modality_weight}. Leave y out "
                "for spikes alone."
            )
        found = read_timescale(
            self.timescale, self.timescale_range, step, USUAL, n_bins
        )  # fmt: skip
        begin, self._bounds = found
        return begin

    def _fit_arrays(self, Y: Array, observed: Array, labels: Labels) -> None:
        self._fit_with(Y, observed, labels, None)

    def _fit_with(self, Y: Array, observed: Array, labels: Labels, y: Any) -> None:
        begin = self._check_options(labels.bin_size or 1.0, Y.shape[1])
        bad = Y[observed & ((Y < 0) | (np.rint(Y) != Y))]
        if bad.size:
            raise ValueError(f"X: expected counts, got {bad[0]:g}. Bin the spikes.")
        self._circle = find_circle(Y.shape[1], self._bounds[1])
        shown = None if y is None else read_behaviour(y, Y.shape[:2])
        n_channels, self._centre, self._scale = 0, np.zeros(0), 1.0
        if shown is not None:
            self.warnings_ += shown.notes
            self._centre, self._scale = shown.measure()
            shown = shown.scale(self._centre, self._scale)
            n_channels = shown.values.shape[2]
        n = np.maximum(observed.sum(axis=(0, 1)), 1)
        mean = Y.sum(axis=(0, 1)) / n
        spread = np.sqrt((observed * (Y - mean) ** 2).sum(axis=(0, 1)) / n)
        alone = self.n_behaviour if n_channels else 0
        sizes = Sizes(
            self.n_neural, self.n_shared, alone, Y.shape[2], n_channels, tuple(self.hidden)
        )  # fmt: skip
        log_rate = np.log(np.maximum(mean, 1e-6))
        self._net = build_net(sizes, log_rate, spread, begin, self._bounds, self.seed)
        self._where = resolve_device(self.device)
        plan = TrainingPlan(
            self.epochs, self.batch_size, self.learning_rate, schedule="cosine", clip=CLIP
        )  # fmt: skip
        trials = to_batch(Y, observed, shown, torch.float32, self._where)
        history = train_net(
            self._net, trials, self._find_basis(Y.shape[1]), plan, self.modality_weight,
            self.seed, self.device,
        )  # fmt: skip
        self.history_ = {"objective": [-value for value in history]}
        self.n_iter_ = len(history)
        self.converged_ = has_settled(history, self.tol)
        self._say_unsettled("epochs")
        self._net.double()
        means = self._infer(Y, observed, shown)[0]
        inside: Array = np.any(observed, axis=2)
        self._mix = find_absorbed(means, inside, sizes)
        self.params_ = describe_net(self._net, labels, self._mix, self._centre, self._scale)
