from .affinity import compute_affinity as compute_affinity
from .alignment import align_latents as align_latents
from .alignment import correlate_matched as correlate_matched
from .alignment import measure_angles as measure_angles
from .alignment import score_recovery as score_recovery
from .alignment import score_states as score_states
from .autoregressive_hmm import AutoregressiveHMM as AutoregressiveHMM
from .block_model import BlockModel as BlockModel
from .co_smoothing import cosmooth as cosmooth
from .co_smoothing import forecast as forecast
from .connectome import DynamicConnectome as DynamicConnectome
from .connectome_rank import select_rank as select_rank
from .demixed_pca import DemixedPCA as DemixedPCA
from .dynamic_modes import DynamicModes as DynamicModes
from .dynamic_modes import ExtendedDynamicModes as ExtendedDynamicModes
from .factor_analysis import FactorAnalysis as FactorAnalysis
from .factor_analysis import ProbabilisticPCA as ProbabilisticPCA
from .gpfa import GPFA as GPFA
from .hmm import HMM as HMM
from .koopman import KoopmanAutoencoder as KoopmanAutoencoder
from .linear_dynamics import LinearDynamics as LinearDynamics
from .mm_gpvae import MMGPVAE as MMGPVAE
from .poisson_gpfa import PoissonGPFA as PoissonGPFA
from .reduced_rank import ReducedRankRegression as ReducedRankRegression
from .score_reports import score_latents as score_latents
from .shared_response import Hyperalignment as Hyperalignment
from .shared_response import SharedResponse as SharedResponse
from .switching_dynamics import SwitchingLinearDynamics as SwitchingLinearDynamics

__all__ = [
    "GPFA",
    "HMM",
    "MMGPVAE",
    "AutoregressiveHMM",
    "BlockModel",
    "DemixedPCA",
    "DynamicConnectome",
    "DynamicModes",
    "ExtendedDynamicModes",
    "FactorAnalysis",
    "Hyperalignment",
    "KoopmanAutoencoder",
    "LinearDynamics",
    "PoissonGPFA",
    "ProbabilisticPCA",
    "ReducedRankRegression",
    "SharedResponse",
    "SwitchingLinearDynamics",
    "align_latents",
    "compute_affinity",
    "correlate_matched",
    "cosmooth",
    "forecast",
    "measure_angles",
    "score_latents",
    "score_recovery",
    "score_states",
    "select_rank",
]
