from .figures import plot_layer_roi as plot_layer_roi
from .figures import plot_roi_bars as plot_roi_bars
from .figures import plot_score_histogram as plot_score_histogram
from .figures import plot_time_course as plot_time_course
from .frames import plot_frames as plot_frames
from .html import write_html as write_html
from .matrices import plot_mds as plot_mds
from .matrices import plot_rdm as plot_rdm
from .notebook import show as show
from .rsa_figures import plot_model_courses as plot_model_courses
from .rsa_figures import plot_models as plot_models
from .surface import plot_cortex as plot_cortex
from .surface import plot_volume as plot_volume
from .tables import tabulate_latencies as tabulate_latencies
from .tables import tabulate_models as tabulate_models
from .tables import tabulate_provenance as tabulate_provenance
from .tables import tabulate_recovery as tabulate_recovery
from .tables import tabulate_rois as tabulate_rois
from .time_figures import plot_fusion as plot_fusion
from .time_figures import plot_generalization as plot_generalization

__all__ = [
    "plot_cortex",
    "plot_frames",
    "plot_fusion",
    "plot_generalization",
    "plot_layer_roi",
    "plot_mds",
    "plot_model_courses",
    "plot_models",
    "plot_rdm",
    "plot_roi_bars",
    "plot_score_histogram",
    "plot_time_course",
    "plot_volume",
    "show",
    "tabulate_latencies",
    "tabulate_models",
    "tabulate_provenance",
    "tabulate_recovery",
    "tabulate_rois",
    "write_html",
]
