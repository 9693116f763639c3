from .controls import shuffle_weights as shuffle_weights
from .distances import measure_distances as measure_distances
from .encoding import encoding_score as encoding_score
from .encoding import score_best_layer as score_best_layer
from .factors import analyse_factors as analyse_factors
from .half_times import compare_order as compare_order
from .half_times import find_half_times as find_half_times
from .layers import encode_layers as encode_layers
from .preferences import find_preferred_depth as find_preferred_depth
from .spatial import spatial_score as spatial_score
from .spins import spin_test as spin_test
from .temporal import temporal_score as temporal_score
from .training import tabulate_trace as tabulate_trace
from .training import trace as trace

__all__ = [
    "analyse_factors",
    "compare_order",
    "encode_layers",
    "encoding_score",
    "find_half_times",
    "find_preferred_depth",
    "measure_distances",
    "score_best_layer",
    "shuffle_weights",
    "spatial_score",
    "spin_test",
    "tabulate_trace",
    "temporal_score",
    "trace",
]
