from .clusters import find_clusters as find_clusters
from .intervals import bootstrap_interval as bootstrap_interval
from .multiple import fdr as fdr
from .permutations import cut_blocks as cut_blocks
from .permutations import max_statistic as max_statistic
from .permutations import permutation_test as permutation_test
from .permutations import permute_rows as permute_rows

__all__ = [
    "bootstrap_interval",
    "cut_blocks",
    "fdr",
    "find_clusters",
    "max_statistic",
    "permutation_test",
    "permute_rows",
]
