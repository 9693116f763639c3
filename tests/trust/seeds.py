"""Whole small files of each format, and how each is read: what is spoilt at random.

To add a format: a function that writes a file, one that reads it, and their row in ``SEEDS``.
"""

import gzip
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import yaml

from neuroalign import loaders, storage
from neuroalign.study.config import read_study
from tests.study.conftest import describe_study, write_inputs
from tests.trust.makers import (
    make_raw,
    make_responses,
    write_epochs,
    write_events,
    write_image,
    write_nwb,
    write_raw,
    write_surface,
)

EVENTS = pd.DataFrame({"onset": [0.0], "duration": [1.0], "stimulus": ["a"]})


def _same(content: bytes) -> bytes:
    return content


def _alone(path: Path) -> list[Path]:
    return [path]


def _inside(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file())


@dataclass(frozen=True)
class Seed:
    """A format: ``make`` writes into a folder, ``read`` gives the values of a path.

    ``parts`` lists the files that may be spoilt; ``unwrap`` and ``wrap`` take compression off and
    put it on again, so that what is inside is spoilt.
    """

    make: Callable[[Path], Path]
    read: Callable[[str], Any]
    parts: Callable[[Path], list[Path]] = _alone
    unwrap: Callable[[bytes], bytes] = _same
    wrap: Callable[[bytes], bytes] = _same


def _file(name: str, write: Callable[[Path], Any]) -> Callable[[Path], Path]:
    """A maker of one file from a writer of a path."""

    def make(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(folder / name)
        return folder / name

    return make


def _export(ending: str) -> Callable[[Path], Path]:
    def write(path: Path) -> None:
        mne.export.export_raw(path, make_raw(), overwrite=True, verbose="error")

    return _file(f"x{ending}", write)


def _write_stc(path: Path) -> None:
    vertices = [np.arange(4), np.arange(3)]
    stc = mne.SourceEstimate(np.ones((7, 5)), vertices, 0.0, 0.01, subject="s")
    stc.save(path.with_name("x"), overwrite=True, verbose="error")


def _write_assembly(path: Path) -> None:
    loaders.to_brainio(make_responses(), path, identifier="a", stimulus_set_identifier="b")


def _write_array(path: Path) -> None:
    np.save(path, 50 + np.random.default_rng(0).standard_normal((3, 20)).astype("float32"))


def _write_mgh(path: Path) -> None:
    nib.save(nib.MGHImage(np.ones((10, 1, 1), "float32"), np.eye(4)), path)


def _write_annot(path: Path) -> None:
    table = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 0, 0]])
    nib.freesurfer.write_annot(path, np.zeros(10, int), table, [b"a", b"b"], fill_ctab=True)


def _write_cifti(path: Path) -> None:
    model = nib.cifti2.BrainModelAxis.from_surface(np.arange(5), 10, "CortexLeft")
    image = nib.Cifti2Image(np.ones((4, 5), "float32"), (nib.cifti2.SeriesAxis(0, 2, 4), model))
    nib.save(image, path)


def _write_zarr(path: Path) -> None:
    storage.save(make_responses().chunk(sample=12), path, overwrite=True)


def _write_study(path: Path) -> None:
    write_inputs(path.parent)
    path.write_text(yaml.safe_dump(describe_study()), encoding="utf-8")


def _write_words(path: Path) -> None:
    path.write_text("onset,duration,word\n0.0,0.5,the\n0.5,0.4,cat\n", encoding="utf-8")


def _write_grid(path: Path) -> None:
    interval = 'intervals [{}]:\n xmin = {}\n xmax = {}\n text = "{}"\n'
    path.write_text(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 2\n'
        "tiers? <exists>\nsize = 1\nitem []:\n item [1]:\n"
        ' class = "IntervalTier"\n name = "words"\n xmin = 0\n xmax = 2\n intervals: size = 2\n '
        + interval.format(1, 0, 1, "the")
        + interval.format(2, 1, 2, "cat"),
        encoding="utf-8",
    )


def _write_spikes(path: Path) -> None:
    np.save(path, np.arange(0, 3000, 30, dtype="uint64"))
    np.save(path.with_name("spike_clusters.npy"), np.arange(100, dtype="int32") % 3)
    path.with_name("params.py").write_text("sample_rate = 1000.0\n", encoding="utf-8")


def _read_spikes(path: str) -> Any:
    return loaders.load_phy(
        Path(path).parent, EVENTS, window=(0.0, 1.0), bin_width=0.5, keep=None
    ).values


def _spike_parts(path: Path) -> list[Path]:
    return sorted(path.parent.iterdir())


def _label(path: str) -> Any:
    places = np.zeros((2, 10), "float32")
    responses = loaders.from_arrays(places, modality="fmri", run=["a", "b"], onset=[0.0, 1.0])
    responses = responses.assign_coords(
        hemisphere=("neuroid", np.array(["L"] * 10)), vertex=("neuroid", np.arange(10))
    ).assign_attrs(n_vertices=[10, 0])
    return loaders.add_roi(responses, (path, None))


SEEDS: dict[str, Seed] = {
    "nifti": Seed(_file("x.nii", write_image), lambda p: loaders.load_fmri(p).values),
    "nifti, compressed": Seed(
        _file("x.nii.gz", write_image),
        lambda p: loaders.load_fmri(p).values,
        unwrap=gzip.decompress,
        wrap=gzip.compress,
    ),
    "nifti stream": Seed(_file("x.nii.gz", write_image), lambda p: loaders.load_fmri(p).values),
    "surface": Seed(
        _file("lh.func.gii", write_surface), lambda p: loaders.load_gifti(p, tr=2.0).values
    ),
    "grayordinates": Seed(
        _file("x.dtseries.nii", _write_cifti), lambda p: loaders.load_cifti(p).values
    ),
    "annotation": Seed(_file("lh.x.annot", _write_annot), _label),
    "recording": Seed(
        _file("x_raw.fif", write_raw), lambda p: loaders.load_meg(p, window=(0.0, 0.1)).values
    ),
    "epochs": Seed(_file("x-epo.fif", write_epochs), lambda p: loaders.load_epochs(p).values),
    "edf": Seed(_export(".edf"), lambda p: loaders.load_continuous(p).values),
    "brainvision": Seed(
        _export(".vhdr"),
        lambda p: loaders.load_continuous(p).values,
        parts=lambda path: sorted(path.parent.iterdir()),
    ),
    "eeglab": Seed(_export(".set"), lambda p: loaders.load_continuous(p).values),
    "sources": Seed(
        _file("x-lh.stc", _write_stc), lambda p: loaders.load_source_estimates(p).values
    ),
    "session": Seed(_file("x.nwb", write_nwb), lambda p: loaders.load_nwb(p).values),
    "session, described": Seed(_file("x.nwb", write_nwb), loaders.describe_nwb),
    "netcdf": Seed(
        _file("x.nc", lambda p: storage.save(make_responses(), p, overwrite=True)), storage.load
    ),
    "netcdf, not verified": Seed(
        _file("x.nc", lambda p: storage.save(make_responses(), p, overwrite=True)),
        lambda p: storage.load(p, verify=False),
    ),
    "zarr": Seed(_file("x.zarr", _write_zarr), lambda p: storage.load(p).values, parts=_inside),
    "assembly": Seed(_file("x.nc", _write_assembly), loaders.load_brainio),
    "traces": Seed(
        _file("F.npy", _write_array),
        lambda p: loaders.load_suite2p(Path(p).parent, rate=10.0, cells=False, neuropil=0).values,
    ),
    "sorted spikes": Seed(
        _file("spike_times.npy", _write_spikes), _read_spikes, parts=_spike_parts
    ),
    "events": Seed(
        _file("x_events.tsv", lambda p: write_events(p, "1\t1\ta", "3\t2\tb", "6\t1\tc")),
        loaders.load_events,
    ),
    "words": Seed(_file("x.csv", _write_words), loaders.load_transcript),
    "text grid": Seed(_file("x.TextGrid", _write_grid), loaders.load_transcript),
    "study": Seed(_file("study.yaml", _write_study), read_study),
}
