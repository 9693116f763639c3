from ._measures import Measure as Measure
from .bures import bures_distance as bures_distance
from .bures import bures_similarity as bures_similarity
from .comparison import SIMILARITIES as SIMILARITIES
from .comparison import compare as compare
from .correlations import canonical_correlations as canonical_correlations
from .correlations import held_out_correlations as held_out_correlations
from .correlations import projection_weighted_cca as projection_weighted_cca
from .intersubject import correlate_subjects as correlate_subjects
from .intersubject_connectivity import connect_subjects as connect_subjects
from .kernel_alignment import compute_kernel as compute_kernel
from .kernel_alignment import stream_cka as stream_cka
from .matching_units import match_softly as match_softly
from .matching_units import match_units as match_units
from .matching_units import matching_score as matching_score
from .matching_units import soft_matching_distance as soft_matching_distance
from .mean_shapes import average_shapes as average_shapes
from .neighbors import find_neighbors as find_neighbors
from .predictivity import linear_predictivity as linear_predictivity
from .procrustes import align_shape as align_shape
from .procrustes import pairwise_shape_distances as pairwise_shape_distances
from .procrustes import shape_distance as shape_distance
from .stochastic_shapes import Conditionals as Conditionals
from .stochastic_shapes import energy_shape_distance as energy_shape_distance
from .stochastic_shapes import estimate_conditionals as estimate_conditionals
from .stochastic_shapes import stochastic_shape_distance as stochastic_shape_distance

__all__ = [
    "SIMILARITIES",
    "Conditionals",
    "Measure",
    "align_shape",
    "average_shapes",
    "bures_distance",
    "bures_similarity",
    "canonical_correlations",
    "compare",
    "compute_kernel",
    "connect_subjects",
    "correlate_subjects",
    "energy_shape_distance",
    "estimate_conditionals",
    "find_neighbors",
    "held_out_correlations",
    "linear_predictivity",
    "match_softly",
    "match_units",
    "matching_score",
    "pairwise_shape_distances",
    "projection_weighted_cca",
    "shape_distance",
    "soft_matching_distance",
    "stochastic_shape_distance",
    "stream_cka",
]
