"""The ceilings by name, for ``evaluate``."""

from collections.abc import Callable

import xarray as xr

from neuroalign.ceilings.halves import split_half
from neuroalign.ceilings.signal_power import signal_power
from neuroalign.ceilings.variances import explainable_variance, ncsnr

CEILINGS: dict[str, Callable[..., xr.Dataset]] = {
    "split_half": split_half,
    "ncsnr": ncsnr,
    "explainable_variance": explainable_variance,
    "signal_power": signal_power,
}
