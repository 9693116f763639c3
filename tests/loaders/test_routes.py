"""Listings of the archives, in the form in which they answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from neuroalign.errors import LoadError
from neuroalign.loaders import _routes, catalog
from neuroalign.loaders._cards import RemoteFile, Route
from neuroalign.loaders._http import Patience

QUICK = Patience(tries=2, wait=0.01)
S3 = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
{contents}{token}</ListBucketResult>"""
ENTRY = "<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What each address answers."""
    held: dict[str, bytes] = {}

    def read(url: str, *, patience: Patience) -> bytes:
        return held[url]

    monkeypatch.setattr(_routes, "read_page", read)
    monkeypatch.setattr(_routes, "read_json", lambda url, patience: json.loads(held[url]))
    return held


def listing(kind: str, address: str, globs: list[str]) -> list[RemoteFile]:
    return list(_routes.LISTINGS[kind](Route(kind, address), globs, QUICK))


def s3(keys: dict[str, int], token: str = "") -> bytes:
    contents = "".join(ENTRY.format(key=key, size=size) for key, size in keys.items())
    follow = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return S3.format(contents=contents, token=follow).encode()


HOST = "https://s3.us-east-1.amazonaws.com/bucket"


def test_s3_pages_are_followed(pages: dict[str, bytes]) -> None:
    first = f"{HOST}?list-type=2&prefix=p%2Fsub-1%2F"
    pages[first] = s3({"p/sub-1/": 0, "p/sub-1/a b.nii": 5}, token="t+1")
    pages[f"{first}&continuation-token=t%2B1"] = s3({"p/sub-1/c.nii": 6})
    found = listing("s3", "bucket/p", ["sub-1/*.nii"])
    assert [(f.path, f.size) for f in found] == [("sub-1/a b.nii", 5), ("sub-1/c.nii", 6)]
    assert found[0].url == f"{HOST}/p/sub-1/a%20b.nii"


def test_s3_beginnings_that_hold_others_are_listed_once(pages: dict[str, bytes]) -> None:
    pages[f"{HOST}?list-type=2&prefix=a"] = s3({"a/1": 1, "ab/2": 2})
    assert len(listing("s3", "bucket", ["a*", "ab/*", "a/1"])) == 2


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b"<html>", "expected an S3 listing, got"),
        (b"<Error><Code>AccessDenied</Code></Error>", "expected an S3 listing, got <Error>"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><x/>", "got a document type"),
    ],
)
def test_what_is_no_s3_listing_is_refused(
    pages: dict[str, bytes], page: bytes, message: str
) -> None:
    pages[f"{HOST}?list-type=2&prefix="] = page
    with pytest.raises(LoadError, match=message):
        listing("s3", "bucket", [])


def test_openneuro_is_its_bucket(pages: dict[str, bytes]) -> None:
    base = "https://s3.us-east-1.amazonaws.com/openneuro.org"
    pages[f"{base}?list-type=2&prefix=ds000105%2F"] = s3({"ds000105/CHANGES": 3})
    (found,) = listing("openneuro", "ds000105", [])
    assert (found.path, found.url) == ("CHANGES", f"{base}/ds000105/CHANGES")


def figshare_page(article: str, number: int = 1) -> str:
    base = "https://api.figshare.com/v2/articles"
    return f"{base}/{article}/files?page_size=100&page={number}"


def test_figshare_gives_md5(pages: dict[str, bytes]) -> None:
    entry = {
        "name": "a.zip",
        "size": 3,
        "download_url": "https://x.org/1",
        "computed_md5": "A" * 32,
    }
    pages[figshare_page("7")] = json.dumps([entry]).encode()
    assert listing("figshare", "7", []) == [
        RemoteFile("a.zip", "https://x.org/1", 3, f"md5:{'a' * 32}")
    ]


def test_figshare_articles_of_many_files_are_listed_whole(pages: dict[str, bytes]) -> None:
    entries = [{"name": f"{n}.h5", "download_url": "https://x.org/1"} for n in range(103)]
    pages[figshare_page("7")] = json.dumps(entries[:100]).encode()
    pages[figshare_page("7", 2)] = json.dumps(entries[100:]).encode()
    assert [found.path for found in listing("figshare", "7", [])] == [e["name"] for e in entries]


def test_dandi_gives_sha256(pages: dict[str, bytes]) -> None:
    base = "https://api.dandiarchive.org/api"
    first = f"{base}/dandisets/000021/versions/draft/assets/?page_size=200&metadata=true"
    second = f"{base}/dandisets/000021/versions/draft/assets/?page=2"
    asset = {"asset_id": "u1", "path": "sub-1/a.nwb", "size": 9}
    digest = {"metadata": {"digest": {"dandi:sha2-256": "1" * 64}}}
    pages[first] = json.dumps({"results": [asset | digest], "next": second}).encode()
    pages[second] = json.dumps({"results": [asset | {"path": "b.nwb"}], "next": None}).encode()
    found = listing("dandi", "000021", [])
    assert [f.digest for f in found] == [f"sha256:{'1' * 64}", ""]
    assert found[0].url == f"{base}/assets/u1/download/"


def osf_entry(kind: str, path: str, link: str) -> dict[str, Any]:
    return {
        "attributes": {
            "kind": kind,
            "materialized_path": path,
            "size": 4,
            "extra": {"hashes": {"sha256": "2" * 64}},
        },
        "links": {"download": link},
        "relationships": {"files": {"links": {"related": {"href": link}}}},
    }


def test_osf_folders_are_entered(pages: dict[str, bytes]) -> None:
    base = "https://api.osf.io/v2/nodes/3jk45/files/osfstorage/"
    inside = osf_entry("file", "/sub/a.npy", "https://osf.io/download/1")
    pages[base] = json.dumps({"data": [osf_entry("folder", "/sub/", f"{base}sub/")]}).encode()
    pages[f"{base}sub/"] = json.dumps({"data": [inside], "links": {"next": None}}).encode()
    (found,) = listing("osf", "3jk45", [])
    assert (found.path, found.size, found.digest) == ("sub/a.npy", 4, f"sha256:{'2' * 64}")


def test_a_next_page_elsewhere_is_refused(pages: dict[str, bytes]) -> None:
    base = "https://api.dandiarchive.org/api/dandisets/1/versions/draft/assets/"
    page = {"results": [], "next": "https://evil.example/"}
    pages[f"{base}?page_size=200&metadata=true"] = json.dumps(page).encode()
    with pytest.raises(LoadError, match="expected the next page there, got https://evil"):
        listing("dandi", "1", [])


def choose_files(address: str) -> list[RemoteFile]:
    card = catalog.read_cards()["steinmetz2019"]
    route = Route("figshare", address)
    return _routes.list_files(card, route, include=None, subjects=None, patience=QUICK)


@pytest.mark.parametrize("name", ["../x.npy", "/x", ".neuroalign-lock"])
def test_unsafe_names_in_a_listing_are_refused(pages: dict[str, bytes], name: str) -> None:
    entry = {"name": name, "download_url": "https://x.org/1"}
    pages[figshare_page("7")] = json.dumps([entry]).encode()
    with pytest.raises(LoadError, match="expected a path inside the dataset's folder"):
        choose_files("7")


def test_unknown_forms_and_unsafe_addresses_are_refused(pages: dict[str, bytes]) -> None:
    pages[figshare_page("7")] = b'{"message": "moved"}'
    with pytest.raises(LoadError, match="in its known form, got one without a list of files"):
        choose_files("7")
    with pytest.raises(LoadError, match="expected an id or bucket/prefix, got '7/../8'"):
        choose_files("7/../8")


def test_subjects_that_cannot_narrow_are_refused() -> None:
    card = catalog.read_cards()["things-meg"]
    with pytest.raises(LoadError, match="expected no subjects.*got 'P1'. Leave subjects out"):
        _routes.list_files(card, card.routes[0], include=None, subjects=["P1"], patience=QUICK)


def test_one_path_twice_is_refused(pages: dict[str, bytes]) -> None:
    entry = {"name": "a", "download_url": "https://x.org/1"}
    pages[figshare_page("7")] = json.dumps([entry] * 2).encode()
    with pytest.raises(LoadError, match="expected each path once, got 'a' twice"):
        choose_files("7")


def test_subjects_choose_the_prefix(pages: dict[str, bytes]) -> None:
    card = catalog.read_cards()["haxby"]
    base = "https://s3.us-east-1.amazonaws.com/openneuro.org"
    for start in ("sub-2/", "dataset_description.json", "participants.tsv", "task-"):
        query = f"ds000105/{start}".replace("/", "%2F")
        key = f"ds000105/{start}" + ("func/x_bold.nii.gz" if start == "sub-2/" else "")
        pages[f"{base}?list-type=2&prefix={query}"] = s3({key: 1})
    found = _routes.list_files(card, card.routes[0], include=None, subjects=["2"], patience=QUICK)
    assert found[-1].path == "sub-2/func/x_bold.nii.gz"
    assert Path(found[0].path).name == "dataset_description.json"
