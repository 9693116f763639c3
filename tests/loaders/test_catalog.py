"""Datasets by name: cards, downloads from a server that misbehaves, what lacks is named."""

import hashlib
import importlib.util
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from neuroalign.errors import DataCorruptionError, LoadError, MissingExtraError
from neuroalign.loaders import _cards, _http, _shelf, catalog, simulate_linear, to_brainio
from neuroalign.schema import check_responses


def _load_server() -> ModuleType:
    path = Path(__file__).with_name("hostile_server.py")
    spec = importlib.util.spec_from_file_location("hostile_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hostile_server"] = module
    spec.loader.exec_module(module)
    return module


hostile = _load_server()
BODY, MD5 = hostile.BODY, hostile.MD5
QUICK = _http.Patience(tries=4, wait=0.01, timeout=0.5, stall=0.3, slowest=10_000)
CARD = """
name = "toy"
title = "A toy"
modality = "fmri"
species = "human"
licence = "CC0 1.0"
terms = "Be kind."
terms_url = "https://example.org/terms"
terms_required = {terms}
citation = "Nobody (2020)."
manual = "ask Nobody"
unverified = []
subjects = ["01", "02"]
{more}
"""
HTTP = '[[routes]]\nkind = "http"\naddress = ""\n'


@pytest.fixture(scope="module")
def server() -> Iterator[object]:
    with hostile.serve() as state:
        yield state


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write the card of a toy dataset and make it the only one."""

    def make(more: str, terms: str = "false") -> Path:
        folder = tmp_path / "cards"
        (folder / "toy").mkdir(parents=True, exist_ok=True)
        path = folder / "toy" / "card.toml"
        path.write_text(CARD.format(more=more, terms=terms), encoding="utf-8")
        monkeypatch.setattr(catalog, "read_cards", lambda: _cards.read_cards(folder))
        monkeypatch.setattr(catalog, "PATIENCE", QUICK)
        return path

    return make


def file(url: str, path: str = "data.bin", digest: str = MD5, size: int | None = 300_000) -> str:
    parts = [f'path = "{path}"', f'url = "{url}"']
    parts += [f'digest = "{digest}"'] if digest else []
    parts += [f"size = {size}"] if size is not None else []
    return "[[files]]\n" + "\n".join(parts) + "\n"


def fetch(folder: Path, **options: object) -> Path:
    return catalog.fetch_dataset("toy", folder=folder, progress=False, **options)  # type: ignore[arg-type]


def final_names(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*.bin") if p.is_file()]


SURVIVED = [
    "whole",
    "cut",
    "cut-without-ranges",
    "same-host",
    "busy",
    "bad-range",
    "slow",
    "odd-length",
]


@pytest.mark.parametrize("name", SURVIVED)
def test_what_breaks_in_transit_is_survived(server, write, tmp_path: Path, name: str) -> None:
    server.asked.clear()
    write(HTTP + file(f"{server.url}/{name}"))
    shelf = fetch(tmp_path)
    assert (shelf / "data.bin").read_bytes() == BODY
    assert not list(shelf.rglob("*.part"))


REFUSED = {
    "wrong": (DataCorruptionError, "expected md5 [0-9a-f]{32} of data.bin, got"),
    "short": (DataCorruptionError, "expected 300000 bytes in data.bin, got an offer of 299990"),
    "endless": (LoadError, "expected 300000 bytes at most, got more"),
    "page": (DataCorruptionError, "got an HTML or XML page"),
    "always-cut": (LoadError, "the connection was cut after 100 of 300000 bytes.*after 4 attempts"),
    "to-file": (LoadError, "status 302.*after 1 attempt"),
    "to-ftp": (LoadError, "expected an https address, got ftp"),
    "loop": (LoadError, "status 302.*after 1 attempt"),
    "drip": (LoadError, "only .* bytes in"),
    "silent": (LoadError, "timed out.*after 4 attempts"),
    "encoded": (LoadError, "expected the bytes as they are, got them encoded"),
    "chunked-cut": (LoadError, "after 4 attempts"),
    "gone": (LoadError, "status 404.*after 1 attempt.*By hand: ask Nobody. Put the files in"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused(server, write, tmp_path: Path, name: str) -> None:
    kind, message = REFUSED[name]
    write(HTTP + file(f"{server.url}/{name}"))
    with pytest.raises(kind, match=message):
        fetch(tmp_path)
    assert final_names(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "message"), [("hidden-page", "HTML or XML page"), ("pointer", "a pointer to it")]
)
def test_stand_ins_for_data_are_refused(
    server, write, tmp_path: Path, name: str, message: str
) -> None:
    write(HTTP + file(f"{server.url}/{name}", digest="", size=None) + "[expected]\n")
    with pytest.raises(DataCorruptionError, match=message):
        fetch(tmp_path, yes=True)
    assert final_names(tmp_path) == []


def test_plain_http_redirect_to_another_host_needs_a_hash(server, write, tmp_path: Path) -> None:
    write(HTTP + file(f"{server.url}/to-plain", digest=""))
    with pytest.raises(LoadError, match="expected an https address, got http"):
        fetch(tmp_path)


def test_a_cut_transfer_goes_on_where_it_ended(server, write, tmp_path: Path) -> None:
    server.ranges.clear()
    write(HTTP + file(f"{server.url}/cut"))
    fetch(tmp_path)
    assert server.ranges == ["", "bytes=120000-", "bytes=240000-"]


def test_bytes_of_another_file_are_not_joined(server, write, tmp_path: Path) -> None:
    shelf = tmp_path / "toy"
    shelf.mkdir()
    (shelf / "data.bin.part").write_bytes(bytes(1000))
    write(HTTP + file(f"{server.url}/whole"))
    fetch(tmp_path)
    assert (shelf / "data.bin").read_bytes() == BODY


def test_damaged_bytes_of_an_earlier_call_cost_one_clean_start(
    server, write, tmp_path: Path
) -> None:
    shelf = tmp_path / "toy"
    shelf.mkdir()
    (shelf / "data.bin.part").write_bytes(bytes(1000))
    (shelf / ".data.bin.etag.part").write_text(f'["{server.url}/whole", "\\"v1\\""]')
    write(HTTP + file(f"{server.url}/whole"))
    fetch(tmp_path)
    assert (shelf / "data.bin").read_bytes() == BODY


def test_a_file_that_was_verified_is_not_downloaded_again(server, write, tmp_path: Path) -> None:
    write(HTTP + file(f"{server.url}/whole", digest=""))
    fetch(tmp_path)
    server.asked.clear()
    fetch(tmp_path)
    assert not server.asked


@pytest.mark.parametrize("digest", ["", MD5])
def test_a_file_that_was_changed_is_downloaded_again(
    server, write, tmp_path: Path, digest: str
) -> None:
    write(HTTP + file(f"{server.url}/whole", digest=digest))
    target = fetch(tmp_path) / "data.bin"
    target.write_bytes(bytes(len(BODY)))
    fetch(tmp_path)
    assert target.read_bytes() == BODY


def test_a_file_put_there_by_hand_passes_by_its_hash_alone(server, write, tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "data.bin").write_bytes(BODY)
    write(HTTP + file(f"{server.url}/gone"))
    assert fetch(tmp_path) == tmp_path / "toy"


def test_offline_is_one_error_with_the_way_by_hand(write, tmp_path: Path) -> None:
    write(HTTP + file("http://127.0.0.1:9/x"))
    with pytest.raises(LoadError, match="refused.*Check the connection.*By hand: ask Nobody"):
        fetch(tmp_path)


def test_two_fetches_into_one_folder_do_not_mix(write, tmp_path: Path) -> None:
    write(HTTP + file("http://127.0.0.1:9/x"))
    with (
        _shelf.lock_folder(tmp_path / "toy"),
        pytest.raises(LoadError, match="expected no other fetch at work"),
    ):
        fetch(tmp_path)


def test_a_link_out_of_the_folder_is_refused(server, write, tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "toy" / "sub").symlink_to(tmp_path / "elsewhere")
    write(HTTP + file(f"{server.url}/whole", path="sub/data.bin"))
    with pytest.raises(LoadError, match="got a link that leads out of it"):
        fetch(tmp_path)


def test_terms_are_asked_for_once(server, write, tmp_path: Path) -> None:
    write(HTTP + file(f"{server.url}/whole"), terms="true")
    with pytest.raises(ValueError, match=r"accept_terms: .*example.org/terms.*--accept-terms"):
        fetch(tmp_path)
    fetch(tmp_path, accept_terms=True)
    fetch(tmp_path)
    assert "Be kind." in (tmp_path / "toy" / _shelf.TERMS).read_text()


def test_terms_that_changed_are_asked_for_again(server, write, tmp_path: Path) -> None:
    card = write(HTTP + file(f"{server.url}/whole"), terms="true")
    fetch(tmp_path, accept_terms=True)
    card.write_text(card.read_text().replace("Be kind.", "Be very kind."))
    with pytest.raises(ValueError, match="Be very kind"):
        fetch(tmp_path)


def test_large_downloads_are_asked_for(write, tmp_path: Path) -> None:
    write(HTTP + file("https://example.invalid/x", size=1_500_000_000))
    with pytest.raises(ValueError, match=r"yes: .* 1 files \(1.5 GB\), got none.*--yes"):
        fetch(tmp_path)


def test_downloads_larger_than_the_disk_are_refused(write, tmp_path: Path) -> None:
    write(HTTP + file("https://example.invalid/x", size=10**18))
    with pytest.raises(LoadError, match="expected room for 1000000.0 TB"):
        fetch(tmp_path, yes=True)


def test_include_and_subjects_choose_files(server, write, tmp_path: Path) -> None:
    both = [file(f"{server.url}/whole", path=f"sub-{s}/{s}.bin") for s in ("01", "02")]
    route = HTTP + 'include = ["sub-{subject}/*"]\n'
    write(route + "".join(both))
    assert final_names(fetch(tmp_path / "a", subjects=["02"])) == ["02.bin"]
    assert final_names(fetch(tmp_path / "b", include=["*/01.bin"])) == ["01.bin"]
    with pytest.raises(LoadError, match=r"expected files that match '\*.nii', got none of 2"):
        fetch(tmp_path, include=["*.nii"])


def test_wrong_arguments_are_named(write, tmp_path: Path) -> None:
    write(HTTP + file("https://example.invalid/x"))
    with pytest.raises(ValueError, match="subjects: expected one of '01', '02', got '3'"):
        fetch(tmp_path, subjects=["3"])
    with pytest.raises(ValueError, match="subjects: expected a list, got '01'"):
        fetch(tmp_path, subjects="01")
    with pytest.raises(ValueError, match="include: expected a list of globs, got"):
        fetch(tmp_path, include="*.nii")


@pytest.mark.parametrize("name", ["../../etc", "nds", "", "toy/../x"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name: expected one of 'algonauts2023'"):
        catalog.fetch_dataset(name)


def test_datasets_without_an_address_say_how_by_hand(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"expected a public address.*By hand: .*THINGS_normMUA"):
        catalog.fetch_dataset("tvsd", folder=tmp_path)
    with pytest.raises(LoadError, match=r"Use load_dataset\('simulated-meg'\)"):
        catalog.fetch_dataset("simulated-meg", folder=tmp_path)


def zipped(tmp_path: Path) -> bytes:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner/a.txt", "one")
    return path.read_bytes()


def test_archives_are_unpacked_beside_themselves(server, write, tmp_path: Path) -> None:
    server.pages["/a.zip"] = zipped(tmp_path)
    wanted = file(f"{server.url}/a.zip", path="a.zip", digest="", size=None) + "unpack = true\n"
    write("size_bytes = 100\n" + HTTP + wanted)
    inner = fetch(tmp_path) / "a" / "inner" / "a.txt"
    assert inner.read_text() == "one"
    inner.unlink()
    fetch(tmp_path)
    assert inner.read_text() == "one"


KILLED = """
import sys
from pathlib import Path
from neuroalign.loaders import _cards, catalog
catalog.read_cards = lambda: _cards.read_cards(Path(sys.argv[1]))
catalog.fetch_dataset("toy", folder=sys.argv[2], progress=False)
"""


@pytest.mark.slow
def test_killed_fetches_end_with_verified_files(
    server, write, tmp_path: Path, rng: np.random.Generator
) -> None:
    names = [f"{index}.bin" for index in range(8)]
    card = write(HTTP + "".join(file(f"{server.url}/slow", path=name) for name in names))
    command = [sys.executable, "-c", KILLED, str(card.parent.parent), str(tmp_path)]
    for wait in rng.uniform(0.0, 0.5, size=4):
        asked, process = server.asked["/slow"], subprocess.Popen(command)
        while server.asked["/slow"] == asked and process.poll() is None:
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert all((tmp_path / "toy" / n).read_bytes() == BODY for n in final_names(tmp_path))
    assert len(final_names(tmp_path)) < len(names), "each process was killed at work"
    assert set(final_names(fetch(tmp_path))) == set(names)


def test_the_list_says_size_licence_and_what_is_here(server, write, tmp_path: Path) -> None:
    write(HTTP + file(f"{server.url}/whole"))
    assert catalog.list_datasets(folder=tmp_path).loc["toy", "here"] == "-"
    fetch(tmp_path)
    row = catalog.list_datasets(folder=tmp_path).loc["toy"]
    assert (row["here"], row["licence"], row["size"]) == ("300.0 kB", "CC0 1.0", "unknown")


def test_the_description_says_what_was_not_verified() -> None:
    text = catalog.describe_dataset("nsd")
    assert "expected trials: 213000" in text
    assert "not verified: terms_url" in text
    assert "[agreement required]" in text


PARTS = """
loader = "load_bids"
loader_arguments = {task = "rest"}
[[routes]]
kind = "manual"
address = ""
[[expected.parts]]
glob = "sub-{subject}/ses-{session}/*_run-{run}_bold.nii.gz"
subject = ["01..02"]
session = ["things01..03"]
run = ["01..10"]
absent = ["sub-02 ses-things03 run-07"]
"""


def lay_out(root: Path, subject: str, lacks: tuple[str, int]) -> None:
    for session in ("things01", "things02", "things03"):
        folder = root / f"sub-{subject}" / f"ses-{session}"
        folder.mkdir(parents=True)
        for run in range(1, 11):
            if (session, run) != lacks:
                (folder / f"sub-{subject}_run-{run:02d}_bold.nii.gz").touch()


def test_a_missing_run_is_named(write, tmp_path: Path) -> None:
    write(PARTS)
    lay_out(tmp_path / "toy", "02", ("things01", 4))
    with pytest.raises(LoadError, match="without 'sub-02 ses-things01 run-04'. Run"):
        catalog.load_dataset("toy", subject="02", folder=tmp_path)


def test_a_known_gap_and_a_subject_not_begun_are_no_fault(write, tmp_path: Path) -> None:
    write(PARTS)
    lay_out(tmp_path / "toy", "02", ("things03", 7))
    card = catalog.read_cards()["toy"]
    catalog._check_parts(card, tmp_path / "toy", None, {})
    shutil.rmtree(tmp_path / "toy" / "sub-02" / "ses-things02")
    with pytest.raises(LoadError, match="run-05' and 5 more"):
        catalog._check_parts(card, tmp_path / "toy", None, {})
    catalog._check_parts(card, tmp_path / "toy", None, {"runs": [1]})


def test_options_reach_the_loader_and_wrong_ones_are_refused() -> None:
    study = catalog.load_dataset("simulated-fmri", options={"n_samples": 12})
    assert study.sizes["sample"] == 12
    with pytest.raises(ValueError, match="Did you mean 'n_samples'"):
        catalog.load_dataset("simulated-fmri", options={"n_sample": 12})


ALGONAUTS = """
loader = "load_algonauts"
loader_path = "{subject}"
[[routes]]
kind = "manual"
address = ""
[[expected.parts]]
glob = "{subject}/lh.npy"
subject = ["01..02"]
[[expected.parts]]
glob = "{subject}/rh.npy"
subject = ["01..02"]
"""


def test_a_subject_that_is_begun_must_be_whole_over_all_parts(write, tmp_path: Path) -> None:
    write(ALGONAUTS)
    (tmp_path / "toy" / "01").mkdir(parents=True)
    (tmp_path / "toy" / "01" / "lh.npy").touch()
    with pytest.raises(LoadError, match="got it without '01/rh.npy'. Run"):
        catalog.load_dataset("toy", subject="01", folder=tmp_path)


def test_a_subject_that_lacks_or_is_unknown_is_said(write, tmp_path: Path) -> None:
    write(ALGONAUTS)
    with pytest.raises(ValueError, match="subject: expected one of '01', '02', got none"):
        catalog.load_dataset("toy", folder=tmp_path)
    with pytest.raises(ValueError, match="subjects: expected one of '01', '02', got '../01'"):
        catalog.load_dataset("toy", subject="../01", folder=tmp_path)
    write(PARTS)
    with pytest.raises(ValueError, match="subject: expected a value, as load_bids needs one"):
        catalog.load_dataset("toy", folder=tmp_path)


def test_what_was_not_fetched_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Run: neuroalign fetch haxby"):
        catalog.load_dataset("haxby", subject="1", folder=tmp_path)
    with pytest.raises(LoadError, match="expected a loader of the whole dataset, got none"):
        catalog.load_dataset("ibl", folder=tmp_path)


@pytest.mark.parametrize("modality", ["fmri", "meg", "eeg", "spikes"])
def test_simulated_studies_follow_the_schema(modality: str) -> None:
    study = catalog.load_dataset(f"simulated-{modality}", options={"n_samples": 20})
    responses = check_responses(study["responses"])
    assert responses.attrs["modality"] == modality
    again = catalog.load_dataset(f"simulated-{modality}", options={"n_samples": 20})
    assert again.identical(study)


def test_geometry_and_photographs_need_no_download() -> None:
    cortex = catalog.load_dataset("fsaverage5")
    assert cortex.sizes["vertex"] == 20484
    assert int(cortex["faces"].max()) == 20483
    assert float(cortex["thickness"].max()) < 6
    photographs = catalog.load_dataset("natural-images")
    assert photographs["coffee"].shape == (400, 600, 3)
    assert len(photographs) == 15


def test_sizes_of_what_was_loaded_are_checked(write) -> None:
    write('[[routes]]\nkind = "installed"\naddress = ""\n[expected.sizes]\nsample = 7\n')
    card = catalog.read_cards()["toy"]
    with pytest.raises(LoadError, match="toy: expected 7 along sample, got 9"):
        catalog._check_sizes(card, simulate_linear(9)["responses"], None, {})


def test_sizes_of_one_subject_are_checked_unless_narrowed(write) -> None:
    write('[[routes]]\nkind = "installed"\naddress = ""\n[expected.sizes_of.01]\nsample = 7\n')
    card, loaded = catalog.read_cards()["toy"], simulate_linear(9)["responses"]
    with pytest.raises(LoadError, match="toy: expected 7 along sample, got 9"):
        catalog._check_sizes(card, loaded, "01", {})
    catalog._check_sizes(card, loaded, "02", {})
    catalog._check_sizes(card, loaded, "01", {"sessions": [1]})


def test_sizes_of_datasets_and_dicts_are_checked(write) -> None:
    write('[[routes]]\nkind = "installed"\naddress = ""\n[expected.sizes]\nentry = 2\n')
    card = catalog.read_cards()["toy"]
    with pytest.raises(LoadError, match="toy: expected 2 along entry, got 1"):
        catalog._check_sizes(card, {"a": 1}, None, {})
    with pytest.raises(LoadError, match="toy: expected 2 along entry, got None"):
        catalog._check_sizes(card, simulate_linear(9), None, {})


def test_a_run_of_which_a_part_came_is_missing(write, tmp_path: Path) -> None:
    write(PARTS.replace("run-{run}_bold.nii.gz", "run-{run}_bold.*"))
    lay_out(tmp_path / "toy", "02", ("things01", 4))
    cut = tmp_path / "toy" / "sub-02" / "ses-things01" / "sub-02_run-04_bold.nii.gz.part"
    cut.touch()
    with pytest.raises(LoadError, match="without 'sub-02 ses-things01 run-04'. Run"):
        catalog.load_dataset("toy", subject="02", folder=tmp_path)


@pytest.mark.parametrize("left", ["tmp0a1b2c", "whole"])
def test_what_pooch_held_when_killed_is_not_downloaded_again(
    server, write, tmp_path: Path, left: str
) -> None:
    staging = tmp_path / "toy" / ".data.bin.pooch.part"
    staging.mkdir(parents=True)
    (staging / left).write_bytes(BODY)
    (staging / "tmpempty").touch()
    write(HTTP + file(f"{server.url}/whole"))
    (staging.parent / ".data.bin.etag.part").write_text(f'["{server.url}/whole", "\\"v1\\""]')
    server.asked.clear()
    assert (fetch(tmp_path) / "data.bin").read_bytes() == BODY
    assert not server.asked
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("links", [True, False], ids=["links", "no-links"])
def test_what_was_interrupted_after_its_last_byte_is_kept(
    server, write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def refuse(*_: object) -> None:
        raise OSError("no links here")

    write(HTTP + file(f"{server.url}/whole"))
    with monkeypatch.context() as patched:
        patched.setattr("pooch.core.hash_matches", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(tmp_path)
    assert final_names(tmp_path) == []
    server.asked.clear()
    if not links:
        monkeypatch.setattr("os.link", refuse)
    assert (fetch(tmp_path) / "data.bin").read_bytes() == BODY
    assert not server.asked
    assert not list(tmp_path.rglob("*.part"))


def test_a_known_sha256_is_what_the_record_keeps(server, write, tmp_path: Path) -> None:
    digest = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    write(HTTP + file(f"{server.url}/whole", digest=digest))
    kept = _shelf.read_record(fetch(tmp_path))["data.bin"]
    assert f"sha256:{kept['sha256']}" == digest


def test_the_only_notes_are_ours(
    server, write, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(HTTP + file(f"{server.url}/whole", digest=""))
    fetch(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_without_pooch_datasets_are_listed_and_fetch_says_how(
    write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(HTTP + file("https://example.invalid/x"), terms="true")
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert list(catalog.list_datasets(folder=tmp_path).index) == ["toy"]
    with pytest.raises(MissingExtraError, match=r"pooch: .*pip install 'neuroalign\[data\]'"):
        fetch(tmp_path)


def test_what_the_user_adds_to_an_unpacked_folder_stays(server, write, tmp_path: Path) -> None:
    server.pages["/b.zip"] = zipped(tmp_path)
    wanted = file(f"{server.url}/b.zip", path="b.zip", digest="", size=None) + "unpack = true\n"
    write("size_bytes = 100\n" + HTTP + wanted)
    own = fetch(tmp_path) / "b" / "notes.txt"
    own.write_text("mine")
    fetch(tmp_path)
    assert own.read_text() == "mine"


def test_a_brain_score_assembly_is_loaded_by_its_name(tmp_path: Path) -> None:
    shelf = tmp_path / "brainscore-public"
    shelf.mkdir()
    name = "dicarlo_MajajHong2015_public"
    written = simulate_linear(9)["responses"]
    to_brainio(
        written, shelf / f"assy_{name}.nc", identifier=name, stimulus_set_identifier="stimuli"
    )
    loaded = catalog.load_dataset("brainscore-public", subject=name, folder=tmp_path)
    np.testing.assert_array_equal(loaded.values, written.values)


def test_nsd_sessions_that_lack_are_named_by_the_card(tmp_path: Path) -> None:
    betas = "nsddata_betas/ppdata/subj04/func1pt8mm/betas_fithrf_GLMdenoise_RR"
    own = tmp_path / "nsd" / betas
    own.mkdir(parents=True)
    for session in range(1, 31):
        if session != 17:
            (own / f"betas_session{session:02d}.hdf5").touch()
    with pytest.raises(LoadError, match="without 'subj04 ses-17'. Run: neuroalign fetch nsd"):
        catalog.load_dataset("nsd", subject="subj04", folder=tmp_path)
    with pytest.raises(FileNotFoundError, match="subj04/fsaverage.*expected a folder of betas"):
        catalog.load_dataset(
            "nsd", subject="subj04", folder=tmp_path, options={"space": "fsaverage"}
        )
