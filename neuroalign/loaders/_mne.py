"""What MNE's objects say, in the words of the schema: channels, units, positions, faults."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import (
    DataCorruptionError,
    LoadError,
    NeuroalignError,
    NeuroalignWarning,
    require,
    some,
)

mne: Any = require("mne", "meg")
FIFF: Any = mne.io.constants.FIFF
Array = npt.NDArray[Any]

# Mixed recordings take the first of these that has a channel.
MODALITY = {
    "meg": ("mag", "grad", "ref_meg"),
    "ieeg": ("seeg", "ecog", "dbs"),
    "eeg": ("eeg", "csd"),
}
# [m] from the origin of a head, or of the device around it.
LARGEST = 0.3
BRAIN = ("mag", "grad", "eeg", "seeg", "ecog", "dbs", "csd")
UNITS = {
    FIFF.FIFF_UNIT_V: "V",
    FIFF.FIFF_UNIT_T: "T",
    FIFF.FIFF_UNIT_T_M: "T/m",
    FIFF.FIFF_UNIT_V_M2: "V/m^2",
    FIFF.FIFF_UNIT_MOL: "M",
    FIFF.FIFF_UNIT_S: "S",
    FIFF.FIFF_UNIT_SEC: "s",
    FIFF.FIFF_UNIT_RAD: "rad",
    FIFF.FIFF_UNIT_PX: "px",
    FIFF.FIFF_UNIT_CEL: "C",
}
FRAMES = {
    FIFF.FIFFV_COORD_HEAD: "head",
    FIFF.FIFFV_COORD_MRI: "mri",
    FIFF.FIFFV_MNE_COORD_MNI_TAL: "mni_tal",
    FIFF.FIFFV_MNE_COORD_RAS: "ras",
    FIFF.FIFFV_COORD_UNKNOWN: "unknown",
}
# What MNE only warns about, although samples or events are gone.
DAMAGE = ("invalid tag", "omitted", "truncated", "corrupt", "file size", "number of records")
# Nothing a user must act on: the name of the file, and limits of filters that the header lacks.
IDLE = ("naming conventions", "highpass cutoff", "lowpass cutoff", "stim channel trigger")


@contextmanager
def reading(path: object, idle: Sequence[str] = ()) -> Iterator[None]:
    """Read with MNE: its errors and warnings leave with the name of the file.

    Parameters
    ----------
    path : path
    idle : sequence of str
        Words of further warnings that the caller answers for.

    Raises
    ------
    FileNotFoundError
        When a part (.eeg, .fdt, the next of a split) is not there.
    LoadError
        When MNE cannot read it.
    DataCorruptionError
        When MNE warns that samples or events were lost.
    """
    logger = logging.getLogger("mne")
    level = logger.level
    # MNE hides its own warnings below this level.
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except (NeuroalignError, ImportError):
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path}: expected all its parts, got '{error}'. Put them side by side."
        ) from error
    # MNE has no error of its own: what it meets in damaged files leaves in any class, the bare
    # Exception among them.
    except Exception as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise LoadError(
            f"{path}: expected content that MNE reads, got '{cause}'. "
            "Check that it is complete, that its ending names its format, and that it holds "
            "what is asked for: recordings (load_meg), epochs (load_epochs), averages (from_mne)."
        ) from error
    finally:
        logger.setLevel(level)
    for item in caught:
        text = " ".join(str(item.message).split())
        if any(word in text for word in idle):
            continue
        if any(word in text.lower() for word in DAMAGE):
            raise DataCorruptionError(
                f"{path}: expected a complete recording, got '{text}'. Download it again."
            )
        if issubclass(item.category, RuntimeWarning) and not any(w in text for w in IDLE):
            warnings.warn(f"{path}: {text}", NeuroalignWarning, stacklevel=4)


def pick_channels(
    info: Any, picks: str | Sequence[str] | None, drop_bad: bool, name: object
) -> tuple[Array, list[str]]:
    """Choose the channels asked for, and say which bad ones left.

    Returns
    -------
    array of int (neuroid,)
        In the file's order; brain channels when ``picks`` is None.
    list of str
        Bad channels that were dropped.

    Raises
    ------
    LoadError
        When none is left, or a name is not known.
    """
    names, kinds = np.array(info["ch_names"]), np.array(list_types(info, name))
    wanted = set(BRAIN)
    if picks is not None:
        asked = [picks] if isinstance(picks, str) else list(picks)
        groups = {"data": BRAIN, "meg": ("mag", "grad"), "all": tuple(kinds.tolist())}
        wanted = {kind for item in asked for kind in groups.get(item, (item,))}
        unknown = [item for item in asked if item not in {*names, *kinds, *groups}]
        if unknown:
            raise LoadError(
                f"picks: expected channel names or types of {name}, got {some(unknown)}. "
                f"It holds types {some(sorted(set(kinds)))} and names {some(names)}."
            )
    chosen = np.isin(kinds, list(wanted)) | np.isin(names, list(wanted))
    bad = chosen & np.isin(names, info["bads"]) & drop_bad
    keep = np.flatnonzero(chosen & ~bad)
    if not len(keep):
        raise LoadError(
            f"{name}: expected channels to read, got none of types {some(sorted(set(kinds)))} "
            f"({int(bad.sum())} dropped as bad). Pass picks=, or drop_bad=False."
        )
    return keep, names[bad].tolist()


def _positions(info: Any) -> tuple[Array, str]:
    """Places of the channels (neuroid, xyz) [mm] and their frame; NaN where unknown."""
    places = np.full((len(info["chs"]), 3), np.nan)
    frames = set()
    for row, channel in enumerate(info["chs"]):
        place, frame = np.asarray(channel["loc"][:3], dtype=float), int(channel["coord_frame"])
        if not np.isfinite(place).all() or not place.any():
            continue
        if frame == FIFF.FIFFV_COORD_DEVICE:
            # Sensors in the helmet only have a place on the head when its position is known.
            if info["dev_head_t"] is None:
                continue
            place, frame = mne.transforms.apply_trans(info["dev_head_t"], place), 4
        places[row] = place * 1000
        frames.add(FRAMES.get(frame, "unknown"))
    return places, frames.pop() if len(frames) == 1 else ("mixed" if frames else "")


def list_types(info: Any, name: object = "recording") -> list[str]:
    """Types of the channels, such as ``mag`` and ``eeg``.

    Raises
    ------
    LoadError
        When one is of a kind that MNE does not know, or two have one name.
    """
    names = list(info["ch_names"])
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise LoadError(
            f"{name}: expected each channel name once, got {some(twice)} several times. "
            "Rename them in the recording's header."
        )
    try:
        kinds: list[str] = info.get_channel_types()
    except (KeyError, ValueError) as error:
        raise LoadError(
            f"{name}: expected channels of kinds that MNE knows, got {' '.join(str(error).split())}"
            f" among {some(info['ch_names'])}. Write the file again, or set its channel types."
        ) from error
    return kinds


def check_places(info: Any, name: object, level: int = 3) -> Array:
    """Places of the channels (neuroid, xyz) [mm]; warn when a head cannot be as large.

    Parameters
    ----------
    info : Info
    name : path or str
        File or argument named in the warning.
    level : int
        Callers between the user and here.
    """
    places, _ = _positions(info)
    brain = np.isin(list_types(info, name), BRAIN)
    reach = np.where(brain, np.linalg.norm(places, axis=1), np.nan) / 1000
    far = np.flatnonzero(reach > LARGEST)
    if len(far):
        worst = far[reach[far].argmax()]
        warnings.warn(
            f"{name}: expected sensors within {LARGEST:g} m of the origin, got "
            f"'{info['ch_names'][worst]}' at {reach[worst]:.2g} m ({len(far)} of {brain.sum()} are "
            "farther). The file holds millimetres as metres, probably: divide x, y and z by 1000.",
            NeuroalignWarning,
            stacklevel=level,
        )
    return places


def label_channels(info: Any, name: object) -> dict[str, Any]:
    """Coords on neuroid: ``channel_type``, ``units``, ``x y z`` [mm], ``bad``."""
    places = check_places(info, name, 4)
    return {
        "channel_type": list_types(info),
        "units": [UNITS.get(int(channel["unit"]), "a.u.") for channel in info["chs"]],
        **{axis: places[:, number] for number, axis in enumerate("xyz")},
        "bad": np.isin(info["ch_names"], info["bads"]),
    }


def describe(info: Any) -> dict[str, Any]:
    """Return ``modality``, ``units``, ``sampling_rate`` and the attrs highpass, lowpass, space."""
    kinds = set(list_types(info))
    named = (name for name, group in MODALITY.items() if kinds & set(group))
    units = {UNITS.get(int(channel["unit"]), "a.u.") for channel in info["chs"]}
    attrs: dict[str, Any] = {
        edge: float(info[edge]) for edge in ("highpass", "lowpass") if info[edge] is not None
    }
    _, frame = _positions(info)
    if frame:
        attrs["space"] = frame
    return {
        "modality": next(named, "behaviour"),
        "units": units.pop() if len(units) == 1 else "mixed",
        "sampling_rate": float(info["sfreq"]),
        "attrs": attrs,
    }


def check_samples(values: Array, info: Any, name: object, allow_nan: bool) -> None:
    """Refuse NaN and infinite samples, and warn of flat channels, by the channel's name.

    Parameters
    ----------
    values : array (sample, neuroid) or (sample, neuroid, time)
    allow_nan : bool
        Warn instead of refusing. Channels marked bad may hold anything.

    Raises
    ------
    LoadError
    """
    axes = (0, 2)[: values.ndim - 1]
    good = ~np.isin(info["ch_names"], info["bads"])
    # One sum a channel finds NaN and infinity without a mask as large as the data.
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = values.min(axis=axes, initial=np.inf), values.max(axis=axes, initial=-np.inf)
    names = np.array(info["ch_names"])
    broken = good & ~(np.isfinite(low) & np.isfinite(high))
    if values.size and broken.any():
        text = (
            f"{name}: expected finite samples, got NaN or infinite ones in "
            f"{int(broken.sum())} of {len(names)} channels ({some(names[broken])})."
        )
        if not allow_nan:
            raise LoadError(
                f"{text} A filter spreads them; mark those channels bad, or pass allow_nan=True."
            )
        warnings.warn(text, NeuroalignWarning, stacklevel=4)
    flat = good & (low == high)
    if values.size > len(names) and flat.any():
        warnings.warn(
            f"{name}: {int(flat.sum())} of {len(names)} channels are flat "
            f"({some(names[flat])}). Mark them bad, or leave them out by picks=.",
            NeuroalignWarning,
            stacklevel=4,
        )


def source_of(inst: Any) -> str:
    """Name of the file behind an MNE object, without its folder; '' when there is none."""
    files = getattr(inst, "filenames", None) or (getattr(inst, "filename", None),)
    return ", ".join(dict.fromkeys(Path(file).name for file in files if file))


def name_samples(n: int, **labels: str | None) -> dict[str, Any]:
    """One label for all samples: run, session and subject, where given."""
    return {key: np.full(n, label) for key, label in labels.items() if label is not None}
