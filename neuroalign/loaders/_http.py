"""HTTP that insists and refuses: checked addresses and redirects, retries, drips, listings.

What pooch's own downloader does not do: go on after a cut, refuse drips, check each redirect.
"""

import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from neuroalign.errors import LoadError

BLOCK = 1 << 16
MAX_REDIRECTS = 8
LOOPBACK = ("127.0.0.1", "::1", "localhost")
BUSY = (408, 425, 429, 500, 502, 503, 504)
# An attempt that brings this much is no failed attempt.
ADVANCE = 1 << 20


@dataclass(frozen=True)
class Patience:
    """How long to insist [s]: ``tries`` attempts, ``wait`` doubling between them.

    ``timeout`` is for silence, ``stall`` the window in which at least ``slowest`` bytes per
    second must come.
    """

    tries: int = 6
    wait: float = 1.0
    timeout: float = 30.0
    stall: float = 60.0
    slowest: float = 512.0


class Interrupted(OSError):
    """The transfer broke; another attempt may do."""


class Refused(LoadError):
    """The server's answer cannot be used; another attempt gives the same."""


def check_url(url: str, digest: str = "") -> str:
    """Refuse what is not HTTPS; plain HTTP passes for this machine or with a known hash.

    Raises
    ------
    LoadError
    """
    parts = urlsplit(url)
    plain = parts.scheme == "http" and (parts.hostname in LOOPBACK or bool(digest))
    if not parts.hostname or not (parts.scheme == "https" or plain):
        raise Refused(
            f"{url}: expected an https address, got {parts.scheme or 'no scheme'}. "
            "Give an https address, or the file's hash."
        )
    return url


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS
    digest = ""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        try:
            if req.full_url.startswith("https:") and not newurl.startswith("https:"):
                raise Refused(
                    f"{req.full_url}: expected to stay on https, got sent to {newurl}. "
                    "Do not use this source."
                )
            check_url(newurl, self.digest)
        except Refused:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_url(url: str, headers: dict[str, str], digest: str, patience: Patience) -> Any:
    """Open a URL that has been checked, and each that it redirects to; no file://, no ftp://."""
    redirects = _Redirects()
    redirects.digest = digest
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        redirects,
    ):
        opener.add_handler(handler)
    headers = {"User-Agent": "neuroalign", "Accept-Encoding": "identity", **headers}
    # The scheme has been checked above and is checked at each redirect.
    request = urllib.request.Request(check_url(url, digest), headers=headers)
    return opener.open(request, timeout=patience.timeout)


def _retry_after(error: urllib.error.HTTPError) -> float:
    value = error.headers.get("Retry-After", "") if error.headers else ""
    return min(float(value), 60.0) if value.isdecimal() else 0.0


def _is_final(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code not in BUSY
    reason = getattr(error, "reason", None)
    offline = isinstance(reason, socket.gaierror) and reason.errno != socket.EAI_AGAIN
    return offline or isinstance(reason, ssl.SSLCertVerificationError)


def _describe(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"status {error.code} ({' '.join(str(error.reason).split())})"
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split()) or type(reason).__name__


def insist(
    attempt: Callable[[], Any],
    url: str,
    patience: Patience,
    reached: Callable[[], int] | None = None,
) -> Any:
    """Call until it succeeds, with growing pauses.

    Parameters
    ----------
    attempt : callable
    url : str
        Named in the message.
    patience : Patience
    reached : callable, optional
        Bytes on disk; an attempt that advances them by a MiB counts as none.

    Raises
    ------
    LoadError
        When all attempts failed, or the answer is final.
    """
    failed, best = 0, reached() if reached else 0
    while True:
        try:
            return attempt()
        except (
            urllib.error.URLError,
            http.client.HTTPException,
            ConnectionError,
            TimeoutError,
            ssl.SSLError,
            Interrupted,
        ) as error:
            if isinstance(error, urllib.error.HTTPError):
                # It is the response too, and holds the connection.
                error.close()
            now = reached() if reached else 0
            if now >= best + ADVANCE:
                failed, best = 0, now
            failed += 1
            if _is_final(error) or failed >= patience.tries:
                raise LoadError(
                    f"{url}: expected to be served, got: {_describe(error)}, "
                    f"after {failed} attempt{'s' * (failed > 1)}. Check the connection and repeat "
                    "(what has come is kept), or get the files by hand."
                ) from error
            asked = _retry_after(error) if isinstance(error, urllib.error.HTTPError) else 0.0
            time.sleep(max(asked, patience.wait * 2 ** (failed - 1)))


def read_length(response: Any) -> int | None:
    """Bytes that the body is said to have; None where that is not said, or not as a number."""
    declared = response.headers.get("Content-Length") or ""
    return int(declared) if declared.isdecimal() else None


def _read(response: Any) -> bytes:
    try:
        block: bytes = response.read1(BLOCK)
    except OSError as error:
        # Apart from the errors of writing to disk, which no attempt mends.
        raise Interrupted(str(error) or type(error).__name__) from error
    return block


def drain(
    response: Any, patience: Patience, use: Callable[[bytes], None], limit: int | None
) -> None:
    """Read a body to its end; refuse more than ``limit`` bytes, drips and short bodies."""
    declared = read_length(response)
    received, window, in_window = 0, time.monotonic(), 0
    while block := _read(response):
        received += len(block)
        in_window += len(block)
        if limit is not None and received > limit:
            raise Refused(
                f"{response.url}: expected {limit} bytes at most, got more. "
                "The file has changed; update neuroalign."
            )
        use(block)
        elapsed = time.monotonic() - window
        if elapsed >= patience.stall:
            if in_window < patience.slowest * elapsed:
                raise Interrupted(f"only {in_window} bytes in {elapsed:.0f} s")
            window, in_window = time.monotonic(), 0
    if declared is not None and received != declared:
        raise Interrupted(f"the connection was cut after {received} of {declared} bytes")


def read_page(url: str, *, patience: Patience, limit: int = 1 << 26) -> bytes:
    """Read a listing into memory.

    Raises
    ------
    LoadError
    """

    def attempt() -> bytes:
        held = bytearray()
        with open_url(url, {}, "", patience) as response:
            drain(response, patience, held.extend, limit)
        return bytes(held)

    page: bytes = insist(attempt, url, patience)
    return page


def read_json(url: str, *, patience: Patience) -> Any:
    """Read a listing that is JSON.

    Raises
    ------
    LoadError
    """
    page = read_page(url, patience=patience)
    try:
        return json.loads(page)
    except ValueError as error:
        raise LoadError(
            f"{url}: expected JSON, got {page[:40]!r}. The archive has changed its answers, or "
            "asks to log in; get the files by hand."
        ) from error
