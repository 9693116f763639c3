from ._store import open_store as open_store
from .image_filters import gabor_features as gabor_features
from .reduction import PrincipalComponents as PrincipalComponents
from .reduction import SparseProjection as SparseProjection
from .torch_model import extract as extract

__all__ = [
    "PrincipalComponents",
    "SparseProjection",
    "extract",
    "gabor_features",
    "open_store",
]
