"""What NWB files and folders of spikes or calcium hold: ALF, phy, suite2p."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.loaders._npy import check_lengths, open_npy
from neuroalign.loaders.alf import FREE, NAME
from neuroalign.loaders.nwb import describe_nwb
from neuroalign.loaders.phy import read_clusters, read_sample_rate
from neuroalign.loaders.suite2p import load_suite2p
from neuroalign.study._findings import WRONG, attempt, count_names, title

Array = npt.NDArray[Any]


def describe_nwb_file(path: Path) -> list[str]:
    """Describe an NWB file; raise when it is damaged."""
    return [title(path, "NWB, whole"), *describe_nwb(path)]


def _describe_train(times: Array, name: str) -> list[str]:
    """Span of spike times [s], and what is wrong with them."""
    finite = times[np.isfinite(times)]
    if not len(finite):
        return [f"{WRONG}{name}: no spikes"]
    lines = [f"spikes: {len(times)} from {finite.min():g} to {finite.max():g} s"]
    faults = {
        f"{len(times) - len(finite)} times not finite": len(finite) < len(times),
        "times not sorted": bool((np.diff(finite) < 0).any()),
    }
    return lines + [f"{WRONG}{name}: {fault}" for fault, true in faults.items() if true]


def _describe_alf_table(folder: Path, table: str, paths: list[Path]) -> list[str]:
    """One object: its columns, compared in length."""
    opened, wrong = [], []
    for path in paths:
        values, faults = attempt(lambda path=path: open_npy(path))  # type: ignore[misc]
        wrong += faults
        opened += [] if values is None else [(path, values)]
    match = {path: NAME.fullmatch(path.name) for path, _ in opened}
    columns = {str(m["attribute"]): values for (path, values) in opened if (m := match[path])}
    rows = [
        (path, values)
        for path, values in opened
        if (m := match[path]) and m["attribute"] not in FREE
    ]
    _, unequal = attempt(lambda: check_lengths(rows))
    n_rows = f"{len(rows[0][1])} rows" if rows else "no rows"
    lines = [f"{table}: {n_rows} of {', '.join(sorted(columns)) or 'none'}"]
    if table == "spikes" and "times" in columns:
        lines += _describe_train(np.asarray(columns["times"], dtype=float), "spikes.times")
        if "clusters" in columns:
            lines.append(f"clusters that fired: {len(np.unique(columns['clusters']))}")
    lines += [
        f"{table}.{name}: {int(np.isnan(values).sum())} times missing"
        for name, values in columns.items()
        if name.endswith("times") and table != "spikes" and values.dtype.kind == "f"
        if np.isnan(values).any()
    ]
    return [*lines, *wrong, *unequal]


def describe_alf(path: Path) -> list[str]:
    """Describe an ALF folder, object by object."""
    tables: dict[str, list[Path]] = {}
    for file in sorted(path.glob("*.npy")):
        match = NAME.fullmatch(file.name)
        if match:
            tables.setdefault(match["table"], []).append(file)
    lines = [title(path, f"ALF folder of {len(tables)} objects")]
    for table, files in tables.items():
        lines += _describe_alf_table(path, table, files)
    return lines


def describe_phy(path: Path) -> list[str]:
    """Describe a phy folder; raise when the spike times are cut."""
    clusters = path / "spike_clusters.npy"
    if not clusters.exists():
        clusters = path / "spike_templates.npy"
    samples = open_npy(path / "spike_times.npy")
    ids, wrong = attempt(lambda: open_npy(clusters))
    rate, no_rate = attempt(lambda: read_sample_rate(path))
    known, unlabelled = attempt(lambda: read_clusters(path, "group"))
    lines = [title(path, f"phy folder, {len(samples)} spikes")]
    if samples.dtype.kind not in "iu":
        wrong.append(f"{WRONG}spike_times.npy: expected whole samples, got {samples.dtype}")
    if ids is not None:
        lines.append(f"clusters: {len(np.unique(ids))}")
        wrong += attempt(
            lambda: check_lengths([(path / "spike_times.npy", samples), (clusters, ids)])
        )[1]
    if rate is not None and not rate > 0:
        wrong.append(f"{WRONG}params.py: expected a rate above 0 Hz, got {rate:g}")
    elif rate is not None:
        lines += [f"rate: {rate:g} Hz", *_describe_train(np.asarray(samples) / rate, "spike_times")]
    if known is not None:
        lines.append(f"quality: {count_names(known['quality'])}")
    return [*lines, *wrong, *no_rate, *unlabelled]


def describe_suite2p(path: Path) -> list[str]:
    """Describe a suite2p folder; raise when an array is cut."""
    every, wrong = attempt(lambda: load_suite2p(path, rate=1.0, signal="F", cells=False))
    lines = [title(path, "suite2p folder")]
    if every is None:
        return [*lines, *wrong]
    cells, missing = attempt(lambda: load_suite2p(path, rate=1.0, signal="F"))
    kept = 0 if cells is None else cells.sizes["neuroid"]
    planes = sorted({str(name).partition("/")[0] for name in every["neuroid"].values})
    lines += [
        f"planes: {', '.join(planes)}",
        f"frames: {every.sizes['sample']}; rois: {every.sizes['neuroid']}, {kept} of them cells",
        "rate: not known, ops.npy is a pickle; pass rate=",
    ]
    broken = int(every.size - np.isfinite(every.values).sum())
    holes = [f"{WRONG}{broken} of {every.size} values not finite"] if broken else []
    return [*lines, *wrong, *missing, *holes]
