"""Archives that are hostile or damaged leave nothing behind."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders._archives import archive_stem, unpack

HOSTILE = ["../out.txt", "/abs.txt", "a/../../out.txt", "a\\..\\out.txt", "C:/x", "a//b", "con.txt"]


def make_zip(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, f"content of {name}")
    return path


def make_tar(path: Path, names: list[str], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/hostname"
            content = b"content" if kind == tarfile.REGTYPE else b""
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def nothing_but(archive: Path) -> None:
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


@pytest.mark.parametrize("name", HOSTILE)
def test_zip_paths_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    archive = make_zip(tmp_path / "x.zip", ["good.txt", name])
    with pytest.raises(LoadError, match=r"x.zip: expected a path inside the dataset's folder"):
        unpack(archive, tmp_path / "x")
    nothing_but(archive)


@pytest.mark.parametrize("name", HOSTILE)
def test_tar_paths_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    archive = make_tar(tmp_path / "x.tar.gz", ["good.txt", name])
    with pytest.raises(LoadError, match=r"x.tar.gz: expected a path inside the dataset's folder"):
        unpack(archive, tmp_path / "x")
    nothing_but(archive)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_tar_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = make_tar(tmp_path / "x.tar", ["link"], kind)
    with pytest.raises(LoadError, match="expected files and folders only, got a link or device"):
        unpack(archive, tmp_path / "x")
    nothing_but(archive)


def test_zip_links_are_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(entry, "/etc/hostname")
    with pytest.raises(LoadError, match="got a link or device 'link'"):
        unpack(tmp_path / "x.zip", tmp_path / "x")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", ["a.txt", "a.txt"])
    with pytest.raises(DataCorruptionError, match="expected a whole archive"):
        unpack(archive, tmp_path / "x")
    nothing_but(archive)


def test_zips_with_a_password_say_so(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", ["a.txt"])
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(LoadError, match="got one with a password"):
        unpack(archive, tmp_path / "x")


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar"])
@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_truncated_archives_leave_nothing(tmp_path: Path, name: str, keep: float) -> None:
    make = make_zip if name.endswith("zip") else make_tar
    archive = make(tmp_path / name, ["a.txt", "b.txt"])
    content = archive.read_bytes().rstrip(b"\0") if name == "x.tar" else archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DataCorruptionError, match="Download it again"):
        unpack(archive, tmp_path / "x")
    nothing_but(archive)


def test_a_flipped_byte_in_a_zip_is_found(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", ["a.txt"])
    archive.write_bytes(archive.read_bytes().replace(b"content of", b"contenT of"))
    with pytest.raises(DataCorruptionError, match="Bad CRC-32"):
        unpack(archive, tmp_path / "x")
    nothing_but(archive)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz"])
def test_what_is_unpacked_replaces_what_was_there(tmp_path: Path, name: str) -> None:
    make = make_zip if name.endswith("zip") else make_tar
    archive = make(tmp_path / name, ["./one/a.txt", "one/b.txt"])
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old.txt").touch()
    unpack(archive, tmp_path / "x")
    assert sorted(p.name for p in (tmp_path / "x").rglob("*.txt")) == ["a.txt", "b.txt"]
    assert (tmp_path / "x" / "one" / "a.txt").read_text().startswith("content")


def test_archives_are_known_by_their_ending() -> None:
    names = ["a.zip", "a.b.tar.gz", "a.TGZ", "a.nii.gz", ".zip"]
    assert [archive_stem(name) for name in names] == ["a", "a.b", "a", None, None]


@pytest.mark.parametrize("ending", ["tar.gz", "tar.bz2", "tar.xz"])
def test_flipped_bytes_in_a_compressed_tar_are_found(
    tmp_path: Path, ending: str, rng: np.random.Generator
) -> None:
    archive, body = tmp_path / f"x.{ending}", rng.bytes(2_000_000)
    with tarfile.open(archive, f"w:{ending.removeprefix('tar.')}") as opened:
        entry = tarfile.TarInfo("a.bin")
        entry.size = len(body)
        opened.addfile(entry, io.BytesIO(body))
    held = bytearray(archive.read_bytes())
    held[len(held) // 2] ^= 0xFF
    archive.write_bytes(held)
    with pytest.raises(DataCorruptionError, match=rf"x.{ending}: expected a whole archive"):
        unpack(archive, tmp_path / "x")
    nothing_but(archive)


def test_zips_of_an_unknown_compression_say_so(tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a.txt", "a" * 100)
    held = bytearray(archive.read_bytes())
    # Deflate64, which systems' own zips of more than 2 GB use.
    held[8] = held[held.find(b"PK\x01\x02") + 10] = 9
    archive.write_bytes(held)
    with pytest.raises(LoadError, match=r"expected a compression that Python knows.*by hand to"):
        unpack(archive, tmp_path / "x")
    nothing_but(archive)


def test_a_file_that_is_also_a_folder_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", ["a", "a/b/c"])
    with pytest.raises(DataCorruptionError, match=r"x.zip: expected a whole archive"):
        unpack(archive, tmp_path / "x")
    nothing_but(archive)
