"""Names of points can all be read, where points are crowded and where they fall together."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from neuroalign import report, rsa
from neuroalign.report.rsa_labels import place_names


def list_boxes(figure: Figure) -> list[np.ndarray]:
    """Where each name is really drawn [pixel]."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    boxes = [Text.get_window_extent(text, canvas.get_renderer()) for text in texts]
    return [box.get_points().ravel() for box in boxes]


def count_overlaps(boxes: list[np.ndarray]) -> int:
    table = np.array(boxes)
    meets = (table[:, None, :2] < table[None, :, 2:]) & (table[:, None, 2:] > table[None, :, :2])
    return int(np.triu(meets.all(axis=2), 1).sum())


@pytest.mark.parametrize("n", [4, 10, 20])
def test_names_of_one_place_are_all_read(n: int) -> None:
    names = {f"condition {k:02d}": "xy"[k % 2] for k in range(n)}
    figure = report.plot_mds(rsa.categorical_rdm(names))
    boxes = list_boxes(figure)
    assert len(boxes) == n
    assert count_overlaps(boxes) == 0
    led = [text for text in figure.axes[0].texts if text.get_gid() == "led"]
    assert bool(led) == (n > 8)
    assert all(text.arrow_patch is not None for text in led)  # type: ignore[attr-defined]


def test_crowded_names_are_all_read(rng: np.random.Generator) -> None:
    points = rng.normal(size=(28, 3))
    squared = np.square(points[:, None] - points).sum(axis=2)
    rdm = rsa.from_matrix(squared, [f"image{k:02d}" for k in range(28)], distance="crossnobis")
    assert count_overlaps(list_boxes(report.plot_mds(rdm))) == 0


def test_a_lone_name_stands_above_to_the_right() -> None:
    ((x, y, ring),) = place_names(np.zeros((1, 2)), ["a"])
    assert x > 0
    assert y > 0
    assert ring == 0
