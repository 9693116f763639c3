from .categories import SCALES as SCALES
from .categories import categorical_rdm as categorical_rdm
from .categories import magnitude_rdm as magnitude_rdm
from .comparisons import COMPARISONS as COMPARISONS
from .comparisons import compare_rdms as compare_rdms
from .comparisons import fisher_z as fisher_z
from .comparisons import regress_rdms as regress_rdms
from .distances import CROSS_DISTANCES as CROSS_DISTANCES
from .distances import DISTANCES as DISTANCES
from .distances import compute_cross_rdm as compute_cross_rdm
from .distances import compute_rdm as compute_rdm
from .framing import frame_responses as frame_responses
from .inference import infer as infer
from .inference import noise_ceiling as noise_ceiling
from .models import FeatureReweightedModel as FeatureReweightedModel
from .models import FixedModel as FixedModel
from .models import InterpolatedModel as InterpolatedModel
from .models import Model as Model
from .models import SelectionModel as SelectionModel
from .models import WeightedModel as WeightedModel
from .noise import estimate_noise as estimate_noise
from .noise import whiten as whiten
from .rdms import align_rdms as align_rdms
from .rdms import to_condensed as to_condensed
from .rdms import to_square as to_square
from .variance_partition import partition_variance as partition_variance

__all__ = [
    "COMPARISONS",
    "CROSS_DISTANCES",
    "DISTANCES",
    "SCALES",
    "FeatureReweightedModel",
    "FixedModel",
    "InterpolatedModel",
    "Model",
    "SelectionModel",
    "WeightedModel",
    "align_rdms",
    "categorical_rdm",
    "compare_rdms",
    "compute_cross_rdm",
    "compute_rdm",
    "estimate_noise",
    "fisher_z",
    "frame_responses",
    "infer",
    "magnitude_rdm",
    "noise_ceiling",
    "partition_variance",
    "regress_rdms",
    "to_condensed",
    "to_square",
    "whiten",
]
