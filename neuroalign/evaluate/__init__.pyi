from .comparison import compare_models as compare_models
from .consistency import correct_consistency as correct_consistency
from .cross_validation import cross_validate as cross_validate
from .feature_choice import select_features as select_features
from .generalization import generalize_time as generalize_time
from .normalization import bootstrap_scores as bootstrap_scores
from .normalization import normalize_scores as normalize_scores
from .summaries import summarise as summarise

__all__ = [
    "bootstrap_scores",
    "compare_models",
    "correct_consistency",
    "cross_validate",
    "generalize_time",
    "normalize_scores",
    "select_features",
    "summarise",
]
