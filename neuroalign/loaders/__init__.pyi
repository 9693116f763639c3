from .arrays import features_from_arrays as features_from_arrays
from .arrays import from_arrays as from_arrays
from .simulate import simulate_layered_cortex as simulate_layered_cortex
from .simulate import simulate_linear as simulate_linear

__all__ = [
    "features_from_arrays",
    "from_arrays",
    "simulate_layered_cortex",
    "simulate_linear",
]
