from . import readouts as readouts
from .banded_ridge import BandedRidge as BandedRidge
from .baselines import CategoryMean as CategoryMean
from .baselines import MeanResponse as MeanResponse
from .fractional import FractionalRidge as FractionalRidge
from .from_sklearn import FromSklearn as FromSklearn
from .kernel_ridge import KernelRidge as KernelRidge
from .planning import plan_fit as plan_fit
from .pls import PLS as PLS
from .poisson_glm import PoissonGLM as PoissonGLM
from .poisson_glm import bits_per_spike as bits_per_spike
from .poisson_glm import pseudo_r2 as pseudo_r2
from .ridge import Ridge as Ridge
from .spike_simulation import simulate_glm as simulate_glm
from .stacked_ridge import StackedRidge as StackedRidge
from .stored_fits import open_fit as open_fit
from .streaming import fit_to_store as fit_to_store
from .temporal_receptive_field import TemporalReceptiveField as TemporalReceptiveField
from .variance_partition import partition_variance as partition_variance

__all__ = [
    "PLS",
    "BandedRidge",
    "CategoryMean",
    "FractionalRidge",
    "FromSklearn",
    "KernelRidge",
    "MeanResponse",
    "PoissonGLM",
    "Ridge",
    "StackedRidge",
    "TemporalReceptiveField",
    "bits_per_spike",
    "fit_to_store",
    "open_fit",
    "partition_variance",
    "plan_fit",
    "pseudo_r2",
    "readouts",
    "simulate_glm",
]
