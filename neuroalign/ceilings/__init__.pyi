from .halves import split_half as split_half
from .signal_power import normalized_correlation as normalized_correlation
from .signal_power import signal_power as signal_power
from .table import CEILINGS as CEILINGS
from .variances import ceiling_from_ncsnr as ceiling_from_ncsnr
from .variances import explainable_variance as explainable_variance
from .variances import ncsnr as ncsnr

__all__ = [
    "CEILINGS",
    "ceiling_from_ncsnr",
    "explainable_variance",
    "ncsnr",
    "normalized_correlation",
    "signal_power",
    "split_half",
]
