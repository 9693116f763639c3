"""A local HTTP server that misbehaves on request, for the tests of downloads."""

import gzip
import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = random.Random(5).randbytes(300_000)
MD5 = f"md5:{hashlib.md5(BODY, usedforsecurity=False).hexdigest()}"


@dataclass
class State:
    """What was asked, and how the server answers each path."""

    asked: Counter[str] = field(default_factory=Counter)
    ranges: list[str] = field(default_factory=list)
    pages: dict[str, bytes] = field(default_factory=dict)
    url: str = ""


def answer(handler: BaseHTTPRequestHandler, body: bytes, *, ranged: bool = True) -> bytes:
    """Send the headers for a body, or the range asked for; give what is to be sent."""
    wanted = handler.headers.get("Range", "")
    if ranged and wanted:
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(body):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(body)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return b""
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        body = body[start:]
    else:
        handler.send_response(200)
    handler.send_header("ETag", '"v1"')
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    return body


def whole(handler: BaseHTTPRequestHandler, state: State) -> None:
    handler.wfile.write(answer(handler, BODY))


def cut(handler: BaseHTTPRequestHandler, state: State) -> None:
    handler.wfile.write(answer(handler, BODY)[:120_000])


def cut_without_ranges(handler: BaseHTTPRequestHandler, state: State) -> None:
    limit = 120_000 if state.asked["/cut-without-ranges"] < 3 else len(BODY)
    handler.wfile.write(answer(handler, BODY, ranged=False)[:limit])


def always_cut(handler: BaseHTTPRequestHandler, state: State) -> None:
    handler.wfile.write(answer(handler, BODY, ranged=False)[:100])


def wrong(handler: BaseHTTPRequestHandler, state: State) -> None:
    handler.wfile.write(answer(handler, BODY[:-1] + bytes([BODY[-1] ^ 1])))


def short(handler: BaseHTTPRequestHandler, state: State) -> None:
    handler.wfile.write(answer(handler, BODY[:-10]))


def endless(handler: BaseHTTPRequestHandler, state: State) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(BODY + BODY)


def page(handler: BaseHTTPRequestHandler, state: State) -> None:
    body = b"<!DOCTYPE html><html>log in</html>"
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html; charset=utf-8")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def hidden_page(handler: BaseHTTPRequestHandler, state: State) -> None:
    handler.wfile.write(answer(handler, b"\n <html><body>504 Gateway Time-out</body></html>"))


def pointer(handler: BaseHTTPRequestHandler, state: State) -> None:
    handler.wfile.write(answer(handler, b"/annex/objects/MD5E-s10--0123.nii.gz\n"))


def redirect(target: str) -> Callable[[BaseHTTPRequestHandler, State], None]:
    def send(handler: BaseHTTPRequestHandler, state: State) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return send


def busy(handler: BaseHTTPRequestHandler, state: State) -> None:
    if state.asked["/busy"] < 3:
        handler.send_error(503)
    else:
        whole(handler, state)


def drip(handler: BaseHTTPRequestHandler, state: State) -> None:
    for byte in answer(handler, BODY):
        handler.wfile.write(bytes([byte]))
        time.sleep(0.02)


def silent(handler: BaseHTTPRequestHandler, state: State) -> None:
    time.sleep(1.5)


def slow(handler: BaseHTTPRequestHandler, state: State) -> None:
    body = answer(handler, BODY)
    for start in range(0, len(body), 10_000):
        handler.wfile.write(body[start : start + 10_000])
        time.sleep(0.03)


def bad_range(handler: BaseHTTPRequestHandler, state: State) -> None:
    if "Range" not in handler.headers:
        (cut if state.asked["/bad-range"] == 1 else whole)(handler, state)
        return
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes 7-{len(BODY) - 1}/{len(BODY)}")
    handler.end_headers()
    handler.wfile.write(BODY[7:])


def odd_length(handler: BaseHTTPRequestHandler, state: State) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "many")
    handler.end_headers()
    handler.wfile.write(BODY)


def encoded(handler: BaseHTTPRequestHandler, state: State) -> None:
    body = gzip.compress(BODY)
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def chunked_cut(handler: BaseHTTPRequestHandler, state: State) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"ffff\r\n" + BODY[:100])


def gone(handler: BaseHTTPRequestHandler, state: State) -> None:
    handler.send_error(404)


PATHS: dict[str, Callable[[BaseHTTPRequestHandler, State], None]] = {
    "/whole": whole,
    "/cut": cut,
    "/cut-without-ranges": cut_without_ranges,
    "/always-cut": always_cut,
    "/wrong": wrong,
    "/short": short,
    "/endless": endless,
    "/page": page,
    "/hidden-page": hidden_page,
    "/pointer": pointer,
    "/same-host": redirect("/whole"),
    "/to-file": redirect("file:///etc/hostname"),
    "/to-ftp": redirect("ftp://127.0.0.1/x"),
    "/to-plain": redirect("http://example.invalid/x"),
    "/loop": redirect("/loop"),
    "/busy": busy,
    "/drip": drip,
    "/silent": silent,
    "/slow": slow,
    "/bad-range": bad_range,
    "/odd-length": odd_length,
    "/encoded": encoded,
    "/chunked-cut": chunked_cut,
    "/gone": gone,
}


@contextmanager
def serve() -> Iterator[State]:
    """Run the server on a free port."""
    state = State()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            state.asked[path] += 1
            state.ranges.append(self.headers.get("Range", ""))
            try:
                if self.path in state.pages:
                    self.wfile.write(answer(self, state.pages[self.path]))
                else:
                    PATHS.get(path, gone)(self, state)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *parts: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
