"""What an archive holds: listings of S3, OpenNeuro, DANDI, figshare and OSF, read over HTTPS.

Public buckets and archives answer unsigned requests, so no client library is needed.
To add a route: a function in ``LISTINGS`` and its name in ``_cards.ROUTES``.
"""

import fnmatch
import re
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

from neuroalign.errors import LoadError, some
from neuroalign.loaders._cards import Card, RemoteFile, Route, check_relative
from neuroalign.loaders._http import Patience, read_json, read_page

# Where each archive answers; "{region}" is the route's.
BASES = {
    "s3": "https://s3.{region}.amazonaws.com",
    "dandi": "https://api.dandiarchive.org/api",
    "figshare": "https://api.figshare.com/v2",
    "osf": "https://api.osf.io/v2",
}
WILD = re.compile(r"[*?\[]")
ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
MAX_PAGES = 10_000
# Files on one page of figshare.
PAGE_SIZE = 100
Listing = Callable[[Route, Sequence[str], Patience], Iterator[RemoteFile]]


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _s3_page(url: str, patience: Patience) -> tuple[list[tuple[str, int]], str]:
    page = read_page(url, patience=patience)
    if b"<!DOCTYPE" in page or b"<!ENTITY" in page:
        raise LoadError(f"{url}: expected a listing, got a document type. Do not use this source.")
    try:
        root = ElementTree.fromstring(page)
    except ElementTree.ParseError as error:
        raise LoadError(f"{url}: expected an S3 listing, got: {error}. Try again later.") from error
    if _tag(root) != "ListBucketResult":
        raise LoadError(f"{url}: expected an S3 listing, got <{_tag(root)}>. Check the bucket.")
    keys, token = [], ""
    for child in root:
        values = {_tag(entry): entry.text or "" for entry in child}
        if _tag(child) == "Contents":
            keys.append((values["Key"], int(values["Size"])))
        elif _tag(child) == "NextContinuationToken":
            token = child.text or ""
    return keys, token


def list_s3(route: Route, globs: Sequence[str], patience: Patience) -> Iterator[RemoteFile]:
    """List ``bucket/prefix``; only below the fixed beginning of each glob."""
    bucket, _, prefix = route.address.partition("/")
    prefix = f"{prefix.rstrip('/')}/" if prefix else ""
    base = f"{BASES['s3'].format(region=route.region)}/{bucket}"
    starts = sorted({WILD.split(glob, maxsplit=1)[0] for glob in globs} or {""})
    # A beginning that holds another lists it too.
    starts = [s for s in starts if not any(s != o and s.startswith(o) for o in starts)]
    for start in starts:
        token = ""
        for _ in range(MAX_PAGES):
            query = {"list-type": "2", "prefix": prefix + start}
            query |= {"continuation-token": token} if token else {}
            keys, token = _s3_page(f"{base}?{urlencode(query)}", patience)
            for key, size in keys:
                if not key.endswith("/"):
                    yield RemoteFile(key.removeprefix(prefix), f"{base}/{quote(key)}", size)
            if not token:
                break


def list_openneuro(route: Route, globs: Sequence[str], patience: Patience) -> Iterator[RemoteFile]:
    """List an OpenNeuro dataset: the latest snapshot, in OpenNeuro's bucket."""
    inside = Route("s3", f"openneuro.org/{route.address}", route.region)
    yield from list_s3(inside, globs, patience)


def list_dandi(route: Route, globs: Sequence[str], patience: Patience) -> Iterator[RemoteFile]:
    """List a dandiset, ``000021`` or ``000021/0.230101.1234``."""
    number, _, version = route.address.partition("/")
    base = f"{BASES['dandi']}/dandisets/{number}/versions/{version or 'draft'}/assets/"
    url: str | None = f"{base}?{urlencode({'page_size': 200, 'metadata': 'true'})}"
    for _ in range(MAX_PAGES):
        if url is None:
            break
        page = read_json(_same_host(url, base), patience=patience)
        for asset in page["results"]:
            digests = (asset.get("metadata") or {}).get("digest") or {}
            sha256 = digests.get("dandi:sha2-256", "").lower()
            yield RemoteFile(
                asset["path"],
                f"{BASES['dandi']}/assets/{asset['asset_id']}/download/",
                asset.get("size"),
                f"sha256:{sha256}" if sha256 else "",
            )
        url = page.get("next")


def list_figshare(route: Route, globs: Sequence[str], patience: Patience) -> Iterator[RemoteFile]:
    """List a figshare article by its number."""
    # The page of the article itself may name its first ten files alone.
    base = f"{BASES['figshare']}/articles/{route.address}/files"
    for number in range(1, MAX_PAGES):
        page = read_json(f"{base}?page_size={PAGE_SIZE}&page={number}", patience=patience)
        if not isinstance(page, list):
            raise TypeError("a list of files")
        for file in page:
            md5 = (file.get("computed_md5") or file.get("supplied_md5") or "").lower()
            yield RemoteFile(
                file["name"], file["download_url"], file.get("size"), f"md5:{md5}" if md5 else ""
            )
        if len(page) < PAGE_SIZE:
            break


def list_osf(route: Route, globs: Sequence[str], patience: Patience) -> Iterator[RemoteFile]:
    """List an OSF project's own storage, folder by folder."""
    base = f"{BASES['osf']}/nodes/{route.address}/files/osfstorage/"
    waiting, seen = [base], 0
    while waiting and seen < MAX_PAGES:
        seen += 1
        page = read_json(_same_host(waiting.pop(), base), patience=patience)
        for entry in page["data"]:
            about = entry["attributes"]
            if about["kind"] == "folder":
                waiting.append(entry["relationships"]["files"]["links"]["related"]["href"])
                continue
            hashes = (about.get("extra") or {}).get("hashes") or {}
            digest = f"sha256:{hashes['sha256'].lower()}" if "sha256" in hashes else ""
            path = about["materialized_path"].lstrip("/")
            yield RemoteFile(path, entry["links"]["download"], about.get("size"), digest)
        if page.get("links", {}).get("next"):
            waiting.append(page["links"]["next"])


def _same_host(url: str, base: str) -> str:
    """Follow a listing's next page only on the archive that gave it."""
    if urlsplit(url)[:2] != urlsplit(base)[:2]:
        raise LoadError(f"{base}: expected the next page there, got {url}. Do not use this source.")
    return url


LISTINGS: dict[str, Listing] = {
    "s3": list_s3,
    "openneuro": list_openneuro,
    "dandi": list_dandi,
    "figshare": list_figshare,
    "osf": list_osf,
}


def _matches(path: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, glob) for glob in globs)


def _list_route(route: Route, globs: Sequence[str], patience: Patience) -> list[RemoteFile]:
    if not ADDRESS.fullmatch(route.address) or ".." in route.address:
        raise LoadError(
            f"{route.kind}: expected an id or bucket/prefix, got {route.address!r}. Mend the card."
        )
    try:
        return list(LISTINGS[route.kind](route, globs, patience))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, LoadError):
            raise
        raise LoadError(
            f"{route.kind} {route.address}: expected a listing in its known form, got one "
            f"without {error}. The archive has changed; get the files by hand."
        ) from error


def list_files(
    card: Card,
    route: Route,
    *,
    include: Sequence[str] | None,
    subjects: Sequence[str] | None,
    patience: Patience,
) -> list[RemoteFile]:
    """Name the files to download.

    Parameters
    ----------
    card, route : Card, Route
    include : sequence of str, optional
        Globs; ``*`` crosses folders. Without them the route's own choice.
    subjects : sequence of str, optional
        Of the card's; with them, ``include`` narrows the route's own choice.
    patience : Patience

    Returns
    -------
    list of RemoteFile
        Sorted by path; each path is safe.

    Raises
    ------
    LoadError
        When nothing matches, or a path leaves the dataset's folder.
    """
    named = list(subjects or card.subjects)
    own = [
        glob.replace("{subject}", subject)
        for glob in route.include
        for subject in (named if "{subject}" in glob else [""])
    ]
    where = f"{card.name} ({route.kind} {route.address})"
    divided = any("{subject}" in g for g in route.include) or any(f.subject for f in card.files)
    if subjects and not divided:
        raise LoadError(
            f"{where}: expected no subjects, as these files are not divided by subject, got "
            f"{some(subjects)}. Leave subjects out."
        )
    globs = own if include is None or subjects else list(include)
    found = card.files if route.kind == "http" else _list_route(route, globs, patience)
    wanted = [
        file
        for file in found
        if (not globs or _matches(file.path, globs))
        and (include is None or _matches(file.path, include))
        and (not subjects or not file.subject or file.subject in subjects)
    ]
    if not wanted:
        asked = include or globs
        raise LoadError(
            f"{where}: expected files that match {some(asked)}, got none of {len(found)}"
            f"{f' ({some([file.path for file in found])})' if found else ''}. Change include."
        )
    paths: set[str] = set()
    for file in wanted:
        check_relative(file.path, where)
        if file.path in paths:
            raise LoadError(
                f"{where}: expected each path once, got '{file.path}' twice. Mend the card."
            )
        paths.add(file.path)
    if route.unpack:
        wanted = [RemoteFile(**{**vars(file), "unpack": True}) for file in wanted]
    return sorted(wanted, key=lambda file: file.path)
