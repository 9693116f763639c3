from .categories import SCALES as SCALES
from .categories import categorical_rdm as categorical_rdm
from .categories import magnitude_rdm as magnitude_rdm
from .comparisons import COMPARISONS as COMPARISONS
from .comparisons import compare_rdms as compare_rdms
from .comparisons import fisher_z as fisher_z
from .comparisons import regress_rdms as regress_rdms
from .conversion import from_rsatoolbox as from_rsatoolbox
from .conversion import to_rsatoolbox as to_rsatoolbox
from .crosstime import generalize_distances as generalize_distances
from .distances import CROSS_DISTANCES as CROSS_DISTANCES
from .distances import DISTANCES as DISTANCES
from .distances import compute_cross_rdm as compute_cross_rdm
from .distances import compute_rdm as compute_rdm
from .framing import frame_responses as frame_responses
from .fusion import fuse as fuse
from .group_maps import infer_group_map as infer_group_map
from .inference import infer as infer
from .inference import noise_ceiling as noise_ceiling
from .intersubject import SUBJECT_MODELS as SUBJECT_MODELS
from .intersubject import compute_subject_rdm as compute_subject_rdm
from .intersubject import model_subjects as model_subjects
from .intersubject import relate_subjects as relate_subjects
from .joining import average_rdms as average_rdms
from .joining import stack_rdms as stack_rdms
from .labelling import from_matrix as from_matrix
from .models import FeatureReweightedModel as FeatureReweightedModel
from .models import FixedModel as FixedModel
from .models import InterpolatedModel as InterpolatedModel
from .models import Model as Model
from .models import SelectionModel as SelectionModel
from .models import WeightedModel as WeightedModel
from .neighborhoods import find_neighborhoods as find_neighborhoods
from .neighborhoods import neighbor_matrix as neighbor_matrix
from .noise import estimate_noise as estimate_noise
from .noise import whiten as whiten
from .rdms import align_rdms as align_rdms
from .rdms import to_condensed as to_condensed
from .rdms import to_square as to_square
from .reliability import SPLITS as SPLITS
from .reliability import estimate_reliability as estimate_reliability
from .reliability import split_rdms as split_rdms
from .searchlight import compute_searchlight_rdms as compute_searchlight_rdms
from .searchlight import run_searchlight as run_searchlight
from .time import bin_time as bin_time
from .time import compute_time_rdms as compute_time_rdms
from .time import generalize_rdms as generalize_rdms
from .variance_partition import partition_variance as partition_variance

__all__ = [
    "COMPARISONS",
    "CROSS_DISTANCES",
    "DISTANCES",
    "SCALES",
    "SPLITS",
    "SUBJECT_MODELS",
    "FeatureReweightedModel",
    "FixedModel",
    "InterpolatedModel",
    "Model",
    "SelectionModel",
    "WeightedModel",
    "align_rdms",
    "average_rdms",
    "bin_time",
    "categorical_rdm",
    "compare_rdms",
    "compute_cross_rdm",
    "compute_rdm",
    "compute_searchlight_rdms",
    "compute_subject_rdm",
    "compute_time_rdms",
    "estimate_noise",
    "estimate_reliability",
    "find_neighborhoods",
    "fisher_z",
    "frame_responses",
    "from_matrix",
    "from_rsatoolbox",
    "fuse",
    "generalize_distances",
    "generalize_rdms",
    "infer",
    "infer_group_map",
    "magnitude_rdm",
    "model_subjects",
    "neighbor_matrix",
    "noise_ceiling",
    "partition_variance",
    "regress_rdms",
    "relate_subjects",
    "run_searchlight",
    "split_rdms",
    "stack_rdms",
    "to_condensed",
    "to_rsatoolbox",
    "to_square",
    "whiten",
]
