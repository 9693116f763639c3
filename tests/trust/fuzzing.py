"""Spoil files at random and read them in a process of their own, which may not die, hang or swell.

In: a number of cases and a seed. Out: what each case ended in. To add a format: a row in ``SEEDS``.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

import numpy as np

from tests.trust.seeds import SEEDS

ROOT = Path(__file__).parents[2]
# Seconds of processor time that a refusal may take, and of waiting until a reader counts as hung.
SLOW, HUNG = 2.0, 20.0
EXTREMES = [0, 1, -1, 2, 127, 128, 255, 2**15 - 1, 2**16 - 1, 2**31 - 1, -(2**31), 2**62, -(2**63)]
WORDS = [
    "nan",
    "inf",
    "-1",
    "",
    "1e999",
    "\t",
    "\n",
    '"',
    "0" * 400,
    "\u202e",
    "../../x",
    "[[[",
    "{",
]


@dataclass
class Tally:
    """What became of the cases."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    slowest: float = 0.0


def _spoil_bits(content: bytearray, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 9))):
        content[_place(content, rng)] ^= 1 << int(rng.integers(8))


def _place(content: bytearray, rng: np.random.Generator) -> int:
    """Headers are hit as often as all that follows."""
    end = min(len(content), 600) if rng.random() < 0.5 else len(content)
    return int(rng.integers(max(end, 1)))


def _spoil_number(content: bytearray, rng: np.random.Generator) -> None:
    width = int(rng.choice([1, 2, 4, 8]))
    value = EXTREMES[int(rng.integers(len(EXTREMES)))] % (1 << (8 * width))
    order: Any = rng.choice(["little", "big"])
    place = _place(content, rng)
    content[place : place + width] = value.to_bytes(width, str(order))  # type: ignore[arg-type]


def _spoil_float(content: bytearray, rng: np.random.Generator) -> None:
    value = rng.choice(np.array([np.nan, np.inf, -np.inf, 0.0, 1e38, -1.0, 1e-40], "float32"))
    place = _place(content, rng)
    content[place : place + 4] = np.asarray(value, rng.choice(["<f4", ">f4"])).tobytes()


def _spoil_word(content: bytearray, rng: np.random.Generator) -> None:
    place = _place(content, rng)
    word = WORDS[int(rng.integers(len(WORDS)))].encode()
    content[place : place + int(rng.integers(0, 6))] = word


def _spoil_length(content: bytearray, rng: np.random.Generator) -> None:
    place, size = _place(content, rng), int(rng.integers(1, 200))
    what = int(rng.integers(4))
    if what == 0:
        del content[place:]
    elif what == 1:
        del content[place : place + size]
    elif what == 2:
        content[place:place] = content[place : place + size]
    else:
        content[place:place] = rng.bytes(size)


def _spoil_order(content: bytearray, rng: np.random.Generator) -> None:
    size = int(rng.integers(1, 100))
    one, other = _place(content, rng), _place(content, rng)
    content[one : one + size] = content[other : other + size]


SPOIL = [_spoil_bits, _spoil_number, _spoil_float, _spoil_word, _spoil_length, _spoil_order]


def spoil(content: bytes, rng: np.random.Generator) -> bytes:
    """Spoil a content in one to three places."""
    spoilt = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        if not spoilt:
            break
        SPOIL[int(rng.integers(len(SPOIL)))](spoilt, rng)
    return bytes(spoilt)


class Reader:
    """A process that reads one file after the other."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.trust.fuzz_reader"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self._answer(120.0)

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        ready, _, _ = select([self.process.stdout], [], [], seconds)
        if not ready:
            self.process.kill()
            self.process.wait()
            return {"end": "hang"}
        line = self.process.stdout.readline()
        if not line:
            return {"end": "crash", "code": self.process.wait()}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def read(self, kind: str, path: Path) -> dict[str, Any]:
        """Have a file read; say how it ended."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps([kind, str(path)]) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"end": "crash", "code": self.process.wait()}
        return self._answer(HUNG)

    @property
    def alive(self) -> bool:
        """Whether it can read on."""
        return self.process.poll() is None

    def close(self) -> None:
        """End it."""
        if self.process.stdin is not None:
            # What could not be written to a dead process is still to be written.
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        self.process.wait(timeout=60)
        if self.process.stdout is not None:
            self.process.stdout.close()


def make_cases(
    folder: Path, n_cases: int, seed: int, kinds: list[str]
) -> Iterator[tuple[str, int, Path]]:
    """Write spoilt files, one format after the other."""
    whole = {kind: SEEDS[kind].make(folder / kind) for kind in kinds}
    for number in range(n_cases):
        kind = kinds[number % len(kinds)]
        rng = np.random.default_rng([seed, number])
        row = SEEDS[kind]
        parts = row.parts(whole[kind])
        part = parts[int(rng.integers(len(parts)))]
        before = part.read_bytes()
        part.write_bytes(row.wrap(spoil(row.unwrap(before), rng)))
        yield kind, number, whole[kind]
        part.write_bytes(before)


def run_cases(
    folder: Path,
    n_cases: int,
    *,
    seed: int = 0,
    kinds: list[str] | None = None,
    seconds: float = float("inf"),
) -> Tally:
    """Read so many spoilt files; stop early after ``seconds``."""
    tally, reader, started = Tally(), Reader(), time.monotonic()
    try:
        for kind, number, path in make_cases(folder, n_cases, seed, kinds or list(SEEDS)):
            answer = reader.read(kind, path)
            end = answer["end"]
            if end in ("ours", "read") and answer["seconds"] > SLOW:
                end = "slow"
            tally.counts[f"{kind}: {end}"] += 1
            tally.slowest = max(tally.slowest, answer.get("seconds", 0.0))
            if end not in ("ours", "read"):
                tally.failures.append({"kind": kind, "number": number, "seed": seed, **answer})
            if not reader.alive:
                reader = Reader()
            if time.monotonic() - started > seconds:
                break
    finally:
        reader.close()
    return tally
