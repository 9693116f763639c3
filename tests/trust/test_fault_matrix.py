"""Damage of every kind, in files of others and in stores of ours: found before numbers are used."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from neuroalign import features, loaders, provenance, storage
from neuroalign._chunks import ChunkedFolder, open_chunked
from neuroalign.encoders import Ridge, fit_to_store, open_fit
from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders._mat_tags import check_tags
from neuroalign.loaders.nifti import open_image
from neuroalign.rsa import compare_rdms, compute_rdm
from tests.trust.makers import (
    cut,
    flip_bit,
    make_features,
    make_responses,
    write_image,
    write_nwb,
    write_raw,
)
from tests.trust.messages import Bad, assert_message, check_refused


def spoil_stream(folder: Path) -> Path:
    path = write_image(folder / "bold.nii.gz", (8, 8, 8, 6))
    flip_bit(path)
    return path


def claim(folder: Path, name: str) -> Path:
    """Write an image whose header claims 30000 in each direction."""
    content = bytearray(write_image(folder / "whole.nii").read_bytes())
    content[42:48] = np.array([30000] * 3, dtype="<i2").tobytes()
    path = folder / name
    path.write_bytes(gzip.compress(bytes(content)) if name.endswith("gz") else bytes(content))
    return path


def save_zarr(folder: Path) -> Path:
    return storage.save(make_responses().chunk(sample=12), folder / "x.zarr")


def find_chunk(path: Path) -> Path:
    """The first chunk of values."""
    return next(one for one in sorted(path.rglob("c/*/*")) if one.is_file())


def load_zarr(folder: Path, spoil: Any) -> Any:
    path = save_zarr(folder)
    spoil(find_chunk(path))
    return storage.load(path)


def flip_value(path: Path) -> None:
    """Flip a bit in the values, which lie in the file as they are."""
    start = make_responses(60, 40).values[3].tobytes()
    flip_bit(path, path.read_bytes().index(start) + 2)


def load_netcdf(folder: Path, spoil: Any) -> Any:
    path = storage.save(make_responses(60, 40), folder / "x.nc")
    spoil(path)
    return storage.load(path)


def open_features(folder: Path, spoil: Any) -> Any:
    nn = pytest.importorskip("torch.nn")
    images = {f"s{k}": np.full((1, 4, 4), float(k), dtype="float32") for k in range(4)}
    net = nn.Sequential(nn.Flatten())
    features.extract(net, images, ["0"], store=folder / "store", batch_size=2, progress=False)
    chunk = next(one for one in sorted((folder / "store").rglob("c/*/*")) if one.is_file())
    spoil(chunk)
    return features.open_store(folder / "store")["0"].values


def fill_chunks(folder: Path) -> Path:
    """Write weights in two chunks."""
    target = ChunkedFolder(folder / "fit", "key", {"weights": (3, 8)}, 4, "float32")
    target.prepare()
    for number in target.list_pending():
        target.write(number, {"weights": np.ones((3, 4), dtype="float32")})
    return folder / "fit"


def open_chunks(folder: Path, spoil: Any) -> Any:
    path = fill_chunks(folder)
    spoil(path / "weights" / "c" / "0" / "1")
    return open_chunked(path, ["weights"])


def open_spoilt_fit(folder: Path, spoil: Any) -> Any:
    features, responses = make_features(), make_responses()
    fit_to_store(Ridge(alphas=1.0), features, responses, folder / "fit", progress=False)
    spoil(next(one for one in sorted((folder / "fit").rglob("c/*/*")) if one.is_file()))
    return open_fit(folder / "fit")


BAD: dict[str, Bad] = {
    "a bit in a compressed image": Bad(
        lambda f: open_image(spoil_stream(f)),
        DataCorruptionError,
        r"bold\.nii\.gz",
        "got a stream that is damaged",
        "Download it again",
    ),
    "a bit in a compressed image, when computed": Bad(
        lambda f: loaders.load_fmri(spoil_stream(f)).compute(),
        DataCorruptionError,
        r"bold\.nii\.gz",
        "got a stream that is damaged",
        "Download it again",
    ),
    "a compressed header that claims terabytes": Bad(
        lambda f: open_image(claim(f, "bold.nii.gz")),
        LoadError,
        r"bold\.nii\.gz",
        "the header implies 648000000000352",
        "Raise max_bytes",
    ),
    "a header that claims terabytes, allowed": Bad(
        lambda f: open_image(claim(f, "bold.nii"), max_bytes=1 << 60),
        DataCorruptionError,
        r"bold\.nii",
        "promises 648000000000352 bytes, the file has",
        "Download it again",
    ),
    "a recording that was cut": Bad(
        lambda f: loaders.load_continuous(cut(write_raw(f / "x_raw.fif"), 0.9)),
        DataCorruptionError,
        r"x_raw\.fif",
        "truncated",
        "download it again",
    ),
    "a session that was cut": Bad(
        lambda f: loaders.load_nwb(cut(write_nwb(f / "x.nwb"), 0.9)),
        DataCorruptionError,
        r"x\.nwb",
        "truncated",
        "Download it again",
    ),
    "a bit in a chunk of a store": Bad(
        lambda f: load_zarr(f, flip_bit),
        DataCorruptionError,
        r"x\.zarr/_neuroalign_array/c/0/0",
        "a file that is changed",
        "Restore or recompute",
    ),
    "a chunk of a store that was cut": Bad(
        lambda f: load_zarr(f, cut),
        DataCorruptionError,
        r"x\.zarr/_neuroalign_array/c/0/0",
        "a file that is changed",
        "Restore or recompute",
    ),
    "a chunk of a store that was deleted": Bad(
        lambda f: load_zarr(f, Path.unlink),
        DataCorruptionError,
        r"x\.zarr/_neuroalign_array/c/0/0",
        "a file that is missing",
        "Restore or recompute",
    ),
    "a bit in a result": Bad(
        lambda f: load_netcdf(f, flip_value),
        DataCorruptionError,
        r"x\.nc",
        "got other values",
        "Restore or recompute",
    ),
    "a result that was cut": Bad(
        lambda f: load_netcdf(f, cut),
        DataCorruptionError,
        r"x\.nc",
        "got '.*truncated",
        "Write or download it again",
    ),
    "a bit in stored features": Bad(
        lambda f: open_features(f, flip_bit), DataCorruptionError, "store", "store", r"\w"
    ),
    "stored features that were deleted": Bad(
        lambda f: open_features(f, Path.unlink), DataCorruptionError, "store", "store", "Repeat"
    ),
    "a bit in a chunk of a fit": Bad(
        lambda f: open_chunks(f, flip_bit),
        DataCorruptionError,
        "fit",
        r"got 1 that are missing or damaged \(first: 1\)",
        "Repeat the call",
    ),
    "a chunk of a fit that was deleted": Bad(
        lambda f: open_chunks(f, Path.unlink),
        DataCorruptionError,
        "fit",
        "got 1 that are missing or damaged",
        "Repeat the call",
    ),
    "a bit in a fit": Bad(
        lambda f: open_spoilt_fit(f, flip_bit),
        DataCorruptionError,
        "fit",
        "missing or damaged",
        "Repeat the call",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_damage_is_found(name: str, tmp_path: Path) -> None:
    check_refused(BAD[name], tmp_path)


def test_only_the_damaged_chunk_is_written_anew(tmp_path: Path) -> None:
    path = fill_chunks(tmp_path)
    flip_bit(path / "weights" / "c" / "0" / "1")
    again = ChunkedFolder(path, "key", {"weights": (3, 8)}, 4, "float32")
    again.prepare()
    assert again.list_pending() == [1]
    again.write(1, {"weights": np.full((3, 4), 2.0, dtype="float32")})
    assert (
        np.asarray(open_chunked(path, ["weights"])["weights"])[0].tolist() == [1.0] * 4 + [2.0] * 4
    )


def test_a_bit_that_no_format_sees_changes_the_hash_of_the_input(tmp_path: Path) -> None:
    path = write_image(tmp_path / "bold.nii")
    before = loaders.load_fmri(path).compute()
    # Of the last value: no format of images has a sum to tell by.
    flip_bit(path, -2)
    after = loaders.load_fmri(path).compute()
    assert provenance.hash_array(before) != provenance.hash_array(after)


def test_a_manifest_that_was_changed_with_its_chunk_is_told_from_one_that_was_not(
    tmp_path: Path,
) -> None:
    path = save_zarr(tmp_path)
    manifest = path / storage.MANIFEST
    content = json.loads(manifest.read_text(encoding="utf-8"))
    assert set(content["files"]) == {
        one.relative_to(path).as_posix()
        for one in path.rglob("*")
        if one.is_file() and one != manifest
    }


@pytest.mark.parametrize("compressed", [False, True])
def test_tags_of_matlab_files_are_followed_only_where_they_lead_inside(
    tmp_path: Path, compressed: bool
) -> None:
    path = tmp_path / "x.mat"
    held = {"a": np.eye(3), "b": "text", "s": {"f": 1.0, "g": {"h": [1, 2]}}, "z": 1 + 2j}
    scipy.io.savemat(path, held, do_compression=compressed)
    check_tags(path)
    content = bytearray(path.read_bytes())
    content[132:136] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="a tag at byte 128 of 1073741824 bytes, more than"):
        check_tags(path)


def test_a_small_image_that_unfolds_is_read_in_the_memory_of_its_result(tmp_path: Path) -> None:
    values = np.zeros((60, 60, 60, 3), dtype="uint8")
    mask = np.zeros((60, 60, 60), dtype="float32")
    mask[0, 0, 0] = 1
    bold = write_image(tmp_path / "bold.nii.gz", values=values)
    held = loaders.load_fmri(bold, mask=write_image(tmp_path / "mask.nii", values=mask))
    assert held.shape == (3, 1)
    assert held.compute().values.tolist() == [[0.0]] * 3


def test_rdms_in_another_order_score_as_in_the_same(tmp_path: Path) -> None:
    rdm = compute_rdm(make_responses(6, 5))
    turned = rdm.isel(first=slice(None, None, -1), second=slice(None, None, -1))
    assert float(compare_rdms(rdm, turned, method="spearman")) == pytest.approx(1.0)


def test_a_message_that_lacks_a_part_is_no_message() -> None:
    whole = LoadError("x.nii: expected 3 volumes, got 2. Download it again.")
    assert_message(whole, names=r"x\.nii", found="got 2", advice="Download")
    for text in ("expected 3, got 2. Download it.", "x.nii: got 3. Download it.", "x.nii: got 2."):
        with pytest.raises(AssertionError):
            assert_message(LoadError(text), names=r"x\.nii", found="got 2", advice="Download")
    with pytest.raises(AssertionError):
        assert_message(MemoryError(""), names="", found="", advice="")
