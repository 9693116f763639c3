"""What hemisphere pairs and CIFTI runs share: the coords of their samples and their attrs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import LoadError
from neuroalign.loaders.fmri import _label, _per_run
from neuroalign.loaders.nifti import PLAUSIBLE_TR
from neuroalign.schema import SCHEMA_VERSION, as_labels, name_runs

Array = npt.NDArray[Any]
PathLike = Path | str


def list_runs(value: PathLike | Sequence[PathLike] | None) -> list[Path]:
    """One path, several, or none."""
    if value is None:
        return []
    return [Path(value)] if isinstance(value, str | Path) else [Path(path) for path in value]


def check_tr(tr: float, name: PathLike) -> float:
    """Refuse a TR that cannot be in seconds."""
    low, high = PLAUSIBLE_TR
    if not low <= tr <= high:
        raise LoadError(
            f"{name}: expected a TR of {low} to {high} s, got {tr:g} s. Pass tr= in seconds."
        )
    return tr


def sample_coords(
    paths: Sequence[Path],
    sizes: Sequence[int],
    tr: float,
    *,
    starts: Sequence[float],
    events: Any,
    labels: Any,
    stimulus: str,
    runs: Sequence[str] | None,
    session: str | None,
    subject: str | None,
) -> dict[str, tuple[str, Array]]:
    """Name the samples of several runs, as load_fmri does."""
    names = as_labels(runs or name_runs(len(paths)), "runs").tolist()
    if len(set(names)) != len(paths):
        raise LoadError(f"runs: expected {len(paths)} unique names, got {names}.")
    tables = _per_run(events, len(paths), "events")
    texts = _per_run(labels, len(paths), "labels")
    parts: list[dict[str, Array]] = []
    for number, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        onset = starts[number] + np.arange(size) * tr
        part: dict[str, Array] = {"run": np.full(size, names[number]), "onset": onset}
        if tables[number] is not None:
            part["stimulus"] = _label(
                tables[number], stimulus, onset, starts[number] + size * tr, names[number]
            )
        elif texts[number] is not None:
            part["stimulus"] = as_labels(texts[number], f"labels of {names[number]}")
            if len(part["stimulus"]) != size:
                raise LoadError(
                    f"labels of {names[number]}: expected {size} (samples of {path}), "
                    f"got {len(part['stimulus'])}."
                )
        parts.append(part)
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    joined["duration"] = np.full(sum(sizes), tr)
    for key, value in (("session", session), ("subject", subject)):
        if value is not None:
            joined[key] = np.full(sum(sizes), value)
    return {key: ("sample", values) for key, values in joined.items()}


def series_attrs(paths: Sequence[Path], tr: float, space: str | None, step: str) -> dict[str, Any]:
    """The attrs of a recording sampled once a TR."""
    attrs: dict[str, Any] = {
        "kind": "responses",
        "modality": "fmri",
        "units": "a.u.",
        "sampling_rate": 1 / tr,
        "source": ", ".join(dict.fromkeys(path.name for path in paths)),
        "schema_version": SCHEMA_VERSION,
        "history": step,
    }
    return attrs if space is None else attrs | {"space": space}
