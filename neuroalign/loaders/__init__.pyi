from .arrays import features_from_arrays as features_from_arrays
from .arrays import from_arrays as from_arrays
from .events import load_events as load_events
from .fmri import load_fmri as load_fmri
from .nifti import to_nifti as to_nifti
from .simulate import simulate_layered_cortex as simulate_layered_cortex
from .simulate import simulate_linear as simulate_linear

__all__ = [
    "features_from_arrays",
    "from_arrays",
    "load_events",
    "load_fmri",
    "simulate_layered_cortex",
    "simulate_linear",
    "to_nifti",
]
