from .ceiling_figures import plot_ceiling_bars as plot_ceiling_bars
from .convergence_figures import plot_half_times as plot_half_times
from .convergence_figures import plot_latencies as plot_latencies
from .convergence_figures import plot_spatial_scores as plot_spatial_scores
from .convergence_figures import plot_trace as plot_trace
from .course_figures import plot_time_course as plot_time_course
from .decoding_figures import plot_confusion as plot_confusion
from .diagnostic_figures import plot_folds as plot_folds
from .diagnostic_figures import plot_partition as plot_partition
from .diagnostic_figures import plot_penalties as plot_penalties
from .diagram_figures import plot_diagram_distances as plot_diagram_distances
from .eigenvalue_figures import plot_eigenvalues as plot_eigenvalues
from .figures import plot_layer_roi as plot_layer_roi
from .figures import plot_roi_bars as plot_roi_bars
from .figures import plot_score_histogram as plot_score_histogram
from .frames import plot_frames as plot_frames
from .futures_figures import plot_behaviour as plot_behaviour
from .futures_figures import plot_futures as plot_futures
from .futures_figures import plot_motion_shares as plot_motion_shares
from .geometry_figures import plot_dichotomies as plot_dichotomies
from .geometry_figures import plot_learning as plot_learning
from .geometry_figures import plot_spectra as plot_spectra
from .geometry_figures import plot_steps as plot_steps
from .html import write_html as write_html
from .latent_figures import plot_trajectories as plot_trajectories
from .latent_scores import plot_score_report as plot_score_report
from .matrices import plot_mds as plot_mds
from .matrices import plot_rdm as plot_rdm
from .motif_figures import plot_motifs as plot_motifs
from .notebook import show as show
from .null_figures import plot_null as plot_null
from .null_figures import plot_p_values as plot_p_values
from .rate_figures import plot_rates as plot_rates
from .rsa_figures import plot_model_courses as plot_model_courses
from .rsa_figures import plot_models as plot_models
from .rsa_tables import tabulate_latencies as tabulate_latencies
from .rsa_tables import tabulate_models as tabulate_models
from .rsa_time_figures import plot_ceilings as plot_ceilings
from .rsa_time_figures import plot_commonality as plot_commonality
from .rsa_time_figures import plot_rdm_generalization as plot_rdm_generalization
from .second_order_figures import plot_second_order as plot_second_order
from .second_order_figures import plot_shepard as plot_shepard
from .signature_figures import plot_field_shifts as plot_field_shifts
from .signature_figures import plot_modules as plot_modules
from .signature_figures import plot_place_maps as plot_place_maps
from .signature_figures import plot_splitter as plot_splitter
from .signature_figures import plot_state_similarity as plot_state_similarity
from .similarity_figures import plot_similarities as plot_similarities
from .state_figures import plot_states as plot_states
from .surface import plot_cortex as plot_cortex
from .tables import tabulate_provenance as tabulate_provenance
from .tables import tabulate_recovery as tabulate_recovery
from .tables import tabulate_rois as tabulate_rois
from .time_figures import plot_fusion as plot_fusion
from .time_figures import plot_generalization as plot_generalization
from .topology_figures import plot_angles as plot_angles
from .topology_figures import plot_persistence as plot_persistence
from .topology_figures import plot_thresholds as plot_thresholds
from .volume import plot_volume as plot_volume

__all__ = [
    "plot_angles",
    "plot_behaviour",
    "plot_ceiling_bars",
    "plot_ceilings",
    "plot_commonality",
    "plot_confusion",
    "plot_cortex",
    "plot_diagram_distances",
    "plot_dichotomies",
    "plot_eigenvalues",
    "plot_field_shifts",
    "plot_folds",
    "plot_frames",
    "plot_fusion",
    "plot_futures",
    "plot_generalization",
    "plot_half_times",
    "plot_latencies",
    "plot_layer_roi",
    "plot_learning",
    "plot_mds",
    "plot_model_courses",
    "plot_models",
    "plot_modules",
    "plot_motifs",
    "plot_motion_shares",
    "plot_null",
    "plot_p_values",
    "plot_partition",
    "plot_penalties",
    "plot_persistence",
    "plot_place_maps",
    "plot_rates",
    "plot_rdm",
    "plot_rdm_generalization",
    "plot_roi_bars",
    "plot_score_histogram",
    "plot_score_report",
    "plot_second_order",
    "plot_shepard",
    "plot_similarities",
    "plot_spatial_scores",
    "plot_spectra",
    "plot_splitter",
    "plot_state_similarity",
    "plot_states",
    "plot_steps",
    "plot_thresholds",
    "plot_time_course",
    "plot_trace",
    "plot_trajectories",
    "plot_volume",
    "show",
    "tabulate_latencies",
    "tabulate_models",
    "tabulate_provenance",
    "tabulate_recovery",
    "tabulate_rois",
    "write_html",
]
