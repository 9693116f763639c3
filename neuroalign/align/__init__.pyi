from .delays import delay_features as delay_features
from .events import events_to_features as events_to_features
from .lags import estimate_lag as estimate_lag
from .matching import match as match
from .repeats import average_repeats as average_repeats
from .repeats import split_repeats as split_repeats
from .resampling import convolve_hrf as convolve_hrf
from .resampling import resample_features as resample_features
from .sessions import zscore_sessions as zscore_sessions

__all__ = [
    "average_repeats",
    "convolve_hrf",
    "delay_features",
    "estimate_lag",
    "events_to_features",
    "match",
    "resample_features",
    "split_repeats",
    "zscore_sessions",
]
