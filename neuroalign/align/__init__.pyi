from .delays import delay_features as delay_features
from .designs import design_fir as design_fir
from .designs import design_hrf as design_hrf
from .events import events_to_features as events_to_features
from .lags import estimate_lag as estimate_lag
from .matching import match as match
from .repeats import average_repeats as average_repeats
from .repeats import split_repeats as split_repeats
from .resampling import convolve_hrf as convolve_hrf
from .resampling import resample as resample
from .sessions import zscore_sessions as zscore_sessions
from .spike_design import make_spike_design as make_spike_design
from .spike_design import mark_refractory as mark_refractory
from .temporal_bases import convolve_basis as convolve_basis
from .temporal_bases import make_basis as make_basis

__all__ = [
    "average_repeats",
    "convolve_basis",
    "convolve_hrf",
    "delay_features",
    "design_fir",
    "design_hrf",
    "estimate_lag",
    "events_to_features",
    "make_basis",
    "make_spike_design",
    "mark_refractory",
    "match",
    "resample",
    "split_repeats",
    "zscore_sessions",
]
