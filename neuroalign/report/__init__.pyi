from .figures import plot_layer_roi as plot_layer_roi
from .figures import plot_roi_bars as plot_roi_bars
from .figures import plot_score_histogram as plot_score_histogram
from .html import write_html as write_html
from .surface import plot_cortex as plot_cortex

__all__ = [
    "plot_cortex",
    "plot_layer_roi",
    "plot_roi_bars",
    "plot_score_histogram",
    "write_html",
]
