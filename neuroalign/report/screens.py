"""What each kind of result shows: sections of text, figures and tables."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from neuroalign.report.figures import (
    mean_interval,
    neuroid_ceilings,
    neuroid_scores,
    plot_layer_roi,
    plot_roi_bars,
    plot_score_histogram,
)
from neuroalign.report.surface import plot_cortex


@dataclass(frozen=True)
class Section:
    """One part of a screen: notes, a figure with its description, a table."""

    title: str
    notes: Sequence[str] = ()
    figure: Figure | None = None
    alt: str = ""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default_factory=list)


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "–"


def summarise(result: xr.Dataset) -> str:
    """Say the outcome of an encoding result in one sentence."""
    scores = neuroid_scores(result).values
    mean, half = mean_interval(scores)
    parts = [
        f"mean {result.attrs.get('metric', 'score')} {_number(mean)} "
        f"[{_number(mean - half)}, {_number(mean + half)}] over {len(scores)} neuroids "
        f"and {result.sizes['fold']} folds"
    ]
    ceilings = neuroid_ceilings(result)
    if ceilings is not None:
        parts.append(f"mean ceiling {_number(float(np.nanmean(ceilings)))}")
    if "q_value" in result:
        share = float((result["q_value"] < 0.05).mean())
        parts.append(f"{share:.0%} of neuroids at q < .05")
    return "; ".join(parts)


def _roi_table(result: xr.Dataset) -> Section:
    scores, ceilings = neuroid_scores(result).values, neuroid_ceilings(result)
    rows = []
    for roi in dict.fromkeys(result["roi"].values.tolist()):
        inside = result["roi"].values == roi
        mean, half = mean_interval(scores[inside])
        bound = float(np.nanmean(ceilings[inside])) if ceilings is not None else np.nan
        share = (
            f"{float((result['q_value'].values[inside] < 0.05).mean()):.0%}"
            if "q_value" in result
            else "–"
        )
        row = [roi, str(int(inside.sum())), _number(mean)]
        row += [f"{_number(mean - half)} to {_number(mean + half)}", _number(bound)]
        rows.append([*row, _number(mean / bound) if bound > 0 else "–", share])
    head = ["ROI", "neuroids", "score", "95 % interval", "ceiling", "score / ceiling", "q < .05"]
    return Section("Regions", ["Intervals are over neuroids."], head=head, rows=rows)


def _provenance(attrs: dict[str, Any]) -> Section:
    rows = []
    for key, value in attrs.items():
        if key == "provenance":
            record = json.loads(str(value))
            for group, content in record.items():
                pairs = content.items() if isinstance(content, dict) else [("", content)]
                rows += [[f"{group} {name}".strip(), str(item)] for name, item in pairs]
        elif key != "warnings":
            rows.append([str(key), str(value)])
    return Section("Provenance", head=["what", "value"], rows=rows)


def show_encoding(result: xr.Dataset) -> list[Section]:
    """Sections of an encoding result (fold, neuroid[, time])."""
    warnings = [line for line in str(result.attrs.get("warnings", "")).split("\n") if line]
    sections = [Section("Summary", [summarise(result)])]
    sections.append(Section("Warnings", warnings or ["None."]))
    histogram = plot_score_histogram(result)
    sections.append(Section("Scores", figure=histogram, alt="Histogram of scores over neuroids"))
    if "roi" in result.coords:
        bars = plot_roi_bars(result)
        sections.append(Section("Score by region", figure=bars, alt="Mean score by region"))
        sections.append(_roi_table(result))
    else:
        sections.append(Section("Regions", ["Left out: neuroids have no coord 'roi'."]))
    sections.append(_map(neuroid_scores(result), str(result.attrs.get("metric", "score"))))
    return [*sections, _provenance(dict(result.attrs))]


def _map(values: xr.DataArray, label: str) -> Section:
    if {"hemisphere", "vertex"} <= set(values.coords):
        return Section("Cortical map", figure=plot_cortex(values, label=label), alt=f"Map of {label}")
    return Section("Cortical map", ["Left out: neuroids have no 'hemisphere' and 'vertex'."])


def show_layers(summary: xr.Dataset) -> list[Section]:
    """Sections of a comparison of layers: ``score`` (layer, roi) and ``best_layer`` (roi)."""
    best = summary["best_layer"].values.tolist()
    rois = summary["roi"].values.tolist()
    head, rows = ["ROI", "best layer", "score"], []
    for index, roi in enumerate(rois):
        top = float(summary["score"].sel(layer=best[index], roi=roi))
        rows.append([roi, best[index], _number(top)])
    notes = []
    if "planted_layer" in summary:
        head = ["ROI", "planted layer", "recovered layer", "score"]
        planted = summary["planted_layer"].values.tolist()
        rows = [[r[0], p, *r[1:]] for r, p in zip(rows, planted, strict=True)]
        hits = sum(p == b for p, b in zip(planted, best, strict=True))
        notes = [f"{hits} of {len(rois)} regions recovered the planted layer."]
    heat = plot_layer_roi(summary["score"].assign_attrs(metric=summary.attrs.get("metric", "")))
    sections = [
        Section("Layers and regions", notes, head=head, rows=rows),
        Section("Layer by region", figure=heat, alt="Score of every layer in every region"),
    ]
    if "best_layer_index" in summary:
        index = summary["best_layer_index"]
        sections.append(_map(index, "index of the best layer"))
    return [*sections, _provenance(dict(summary.attrs))]


SCREENS: dict[str, Callable[[xr.Dataset], list[Section]]] = {
    "encoding": show_encoding,
    "layers": show_layers,
}
