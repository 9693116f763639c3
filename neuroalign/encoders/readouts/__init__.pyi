from ._base import TrainingPlan as TrainingPlan
from .factorized import FactorizedReadout as FactorizedReadout
from .gaussian import GaussianReadout as GaussianReadout

__all__ = [
    "FactorizedReadout",
    "GaussianReadout",
    "TrainingPlan",
]
