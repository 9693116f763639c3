from .checkpoints import trace_alignment as trace_alignment
from .conditions import describe_dichotomies as describe_dichotomies
from .depth import compare_steps as compare_steps
from .depth import estimate_modes as estimate_modes
from .depth import stream_steps as stream_steps
from .depth import trace_dynamics as trace_dynamics
from .dichotomies import list_dichotomies as list_dichotomies
from .dichotomies import pair_by_factors as pair_by_factors
from .dimension import estimate_dimension as estimate_dimension
from .dimension import trace_dimension as trace_dimension
from .dissociation import audit_similarity as audit_similarity
from .features import equalize_features as equalize_features
from .features import explain_variance as explain_variance
from .generalization import generalize_across_conditions as generalize_across_conditions
from .gradients import find_gradients as find_gradients
from .learning import align_kernels as align_kernels
from .learning import align_representations as align_representations
from .learning import compare_weights as compare_weights
from .learning import measure_laziness as measure_laziness
from .parallelism import parallelism_score as parallelism_score
from .perturbations import trace_perturbation as trace_perturbation
from .phases import label_phases as label_phases
from .phases import trace_spectra as trace_spectra
from .repeated_spectrum import cross_validate_spectrum as cross_validate_spectrum
from .segmentation import segment_steps as segment_steps
from .spectrum import compute_spectrum as compute_spectrum
from .spectrum import describe_spectrum as describe_spectrum
from .spectrum import effective_rank as effective_rank
from .spectrum import fit_power_law as fit_power_law
from .spectrum import participation_ratio as participation_ratio
from .spectrum import subsample_spectrum as subsample_spectrum
from .targets import target_alignment as target_alignment

__all__ = [
    "align_kernels",
    "align_representations",
    "audit_similarity",
    "compare_steps",
    "compare_weights",
    "compute_spectrum",
    "cross_validate_spectrum",
    "describe_dichotomies",
    "describe_spectrum",
    "effective_rank",
    "equalize_features",
    "estimate_dimension",
    "estimate_modes",
    "explain_variance",
    "find_gradients",
    "fit_power_law",
    "generalize_across_conditions",
    "label_phases",
    "list_dichotomies",
    "measure_laziness",
    "pair_by_factors",
    "parallelism_score",
    "participation_ratio",
    "segment_steps",
    "stream_steps",
    "subsample_spectrum",
    "target_alignment",
    "trace_alignment",
    "trace_dimension",
    "trace_dynamics",
    "trace_perturbation",
    "trace_spectra",
]
