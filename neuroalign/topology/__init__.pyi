from .adaptive import adaptive_similarity as adaptive_similarity
from .circular import circular_correlation as circular_correlation
from .circular import find_circular_coordinates as find_circular_coordinates
from .circular import score_angles as score_angles
from .curves import betti_curve as betti_curve
from .curves import persistence_image as persistence_image
from .curves import persistence_landscape as persistence_landscape
from .divergence import compute_divergence as compute_divergence
from .geodesics import geodesic_rdm as geodesic_rdm
from .geotopology import categorize_thresholds as categorize_thresholds
from .geotopology import threshold_grid as threshold_grid
from .geotopology import transform_rdm as transform_rdm
from .nulls import NULLS as NULLS
from .nulls import assess_topology as assess_topology
from .nulls import draw_surrogate as draw_surrogate
from .persistence import compute_persistence as compute_persistence
from .persistence import take_bars as take_bars
from .sampling import keep_dense as keep_dense
from .sampling import pick_landmarks as pick_landmarks
from .selection import select_source as select_source
from .summaries import DIAGRAM_DISTANCES as DIAGRAM_DISTANCES
from .summaries import SUMMARIES as SUMMARIES
from .summaries import diagram_distance as diagram_distance
from .summaries import longest_bar_ratio as longest_bar_ratio
from .summaries import summarize_diagrams as summarize_diagrams

__all__ = [
    "DIAGRAM_DISTANCES",
    "NULLS",
    "SUMMARIES",
    "adaptive_similarity",
    "assess_topology",
    "betti_curve",
    "categorize_thresholds",
    "circular_correlation",
    "compute_divergence",
    "compute_persistence",
    "diagram_distance",
    "draw_surrogate",
    "find_circular_coordinates",
    "geodesic_rdm",
    "keep_dense",
    "longest_bar_ratio",
    "persistence_image",
    "persistence_landscape",
    "pick_landmarks",
    "score_angles",
    "select_source",
    "summarize_diagrams",
    "take_bars",
    "threshold_grid",
    "transform_rdm",
]
