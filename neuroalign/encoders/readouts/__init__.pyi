from ._base import TrainingPlan as TrainingPlan
from .brain_transformer import BrainTransformer as BrainTransformer
from .cores import RotationEquivariantCore as RotationEquivariantCore
from .cores import SmallCore as SmallCore
from .factorized import FactorizedReadout as FactorizedReadout
from .gaussian import GaussianReadout as GaussianReadout
from .semantic_transformer import SemanticSpatialTransformer as SemanticSpatialTransformer

__all__ = [
    "BrainTransformer",
    "FactorizedReadout",
    "GaussianReadout",
    "RotationEquivariantCore",
    "SemanticSpatialTransformer",
    "SmallCore",
    "TrainingPlan",
]
