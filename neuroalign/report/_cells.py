"""Numbers as cells of tables."""

import numpy as np

from neuroalign.report._blocks import Cell

MOST_ROWS = 500


def to_cell(value: float, digits: int = 3) -> Cell:
    """Round a number; None where there is none."""
    return round(float(value), digits) if np.isfinite(value) else None


def to_p_cell(value: float) -> Cell:
    """Round a p value; never to 0, which no test gives."""
    return "< .001" if value < 0.001 else to_cell(value, 4)


def is_p(name: str) -> bool:
    """Whether a variable holds p or q values, by its name."""
    return any(word in ("p", "q") for word in name.split("_"))
