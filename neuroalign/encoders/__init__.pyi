from .ridge import Ridge as Ridge
from .streaming import fit_to_store as fit_to_store
from .streaming import open_fit as open_fit
from .streaming import plan_fit as plan_fit

__all__ = [
    "Ridge",
    "fit_to_store",
    "open_fit",
    "plan_fit",
]
