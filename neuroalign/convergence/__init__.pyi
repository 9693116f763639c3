from .behaviour import compare_behaviour as compare_behaviour
from .checkpoint_files import CheckpointFile as CheckpointFile
from .checkpoint_files import list_checkpoints as list_checkpoints
from .controls import shuffle_weights as shuffle_weights
from .distances import measure_distances as measure_distances
from .encoding import encoding_score as encoding_score
from .encoding import score_best_layer as score_best_layer
from .factors import analyse_factors as analyse_factors
from .futures import compare_futures as compare_futures
from .half_times import compare_order as compare_order
from .half_times import find_half_times as find_half_times
from .layers import encode_layers as encode_layers
from .module_matching import match_modules as match_modules
from .motion_shares import compare_motion as compare_motion
from .place_fields import measure_fields as measure_fields
from .place_maps import map_places as map_places
from .preferences import find_preferred_depth as find_preferred_depth
from .signatures import compare_fields as compare_fields
from .spatial import spatial_score as spatial_score
from .spins import spin_test as spin_test
from .splitters import splitter_index as splitter_index
from .state_similarity import correlate_states as correlate_states
from .temporal import temporal_score as temporal_score
from .training import tabulate_trace as tabulate_trace
from .training import trace as trace

__all__ = [
    "CheckpointFile",
    "analyse_factors",
    "compare_behaviour",
    "compare_fields",
    "compare_futures",
    "compare_motion",
    "compare_order",
    "correlate_states",
    "encode_layers",
    "encoding_score",
    "find_half_times",
    "find_preferred_depth",
    "list_checkpoints",
    "map_places",
    "match_modules",
    "measure_distances",
    "measure_fields",
    "score_best_layer",
    "shuffle_weights",
    "spatial_score",
    "spin_test",
    "splitter_index",
    "tabulate_trace",
    "temporal_score",
    "trace",
]
