from ._base import TrainingPlan as TrainingPlan
from .factorized import FactorizedReadout as FactorizedReadout

__all__ = [
    "FactorizedReadout",
    "TrainingPlan",
]
