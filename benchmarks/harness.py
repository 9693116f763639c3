"""One way to race: ours and the peer, interleaved, each run in a fresh process.

In: rows, each with a setup and two jobs that name functions of an importable module; a job under
a second runs twice and the second pass counts, for both sides. Out: a table and, with
``--json FILE``, a list of dicts. To add a room: write ``benchmarks/<room>.py`` with a list of
``Race`` and call ``main``.
"""

import argparse
import importlib
import json
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

KEYS = (
    "name",
    "ours_s",
    "peer",
    "peer_s",
    "ratio",
    "ours_peak_mb",
    "peer_peak_mb",
    "limit_fraction",
    "equal",
)
# Seconds up to which a job runs twice in its process.
SHORT = 1.0


@dataclass(frozen=True)
class Race:
    """One row of the table.

    ``module`` holds the functions named by ``setup`` (size -> inputs), ``ours`` and ``theirs``
    (inputs -> array). ``peer`` says what the peer is. ``flops`` (inputs -> float) counts the
    multiplications and additions no exact method can avoid; the limit is that many at the speed
    of a large matrix product. ``full`` and ``quick`` are the sizes. Where a size has ``share``,
    the peer, too slow for the whole job, does one part in so many, and its seconds are multiplied;
    the name says so. ``signed`` keeps the sign of the difference: which side is higher matters.
    """

    name: str
    module: str
    setup: str
    ours: str
    peer: str
    theirs: str
    full: dict[str, int] = field(default_factory=dict)
    quick: dict[str, int] = field(default_factory=dict)
    flops: str | None = None
    signed: bool = False


def _forget_peak() -> None:
    """Start to measure peak memory anew, where the system can: making inputs is not the job."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    """Peak resident memory of this process and its finished children."""
    unit = 1 if platform.system() == "Darwin" else 1024
    own, children = (
        resource.getrusage(who).ru_maxrss * unit / 1e6
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        own = float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1e3
    return own + children


def _work(module: str, setup: str, job: str, size: dict[str, int], pipe: Connection) -> None:
    room = importlib.import_module(module)
    inputs = getattr(room, setup)(**size)
    function: Callable[[Any], Any] = getattr(room, job)
    _forget_peak()
    seconds = SHORT
    # The first pass of a short job mostly waits for fresh memory and threads: the second counts.
    for _ in range(2):
        if seconds <= SHORT:
            start = time.perf_counter()
            result = np.asarray(function(inputs))
            seconds = time.perf_counter() - start
    pipe.send((seconds, _peak_mb(), result))
    pipe.close()


def run_once(
    race: Race, job: str, size: dict[str, int], *, method: str = "spawn"
) -> tuple[float, float, Any]:
    """Run one job in a process of its own: seconds, peak memory in MB, result.

    ``spawn`` starts afresh; ``fork`` shares the imports of this process, which take longer than
    short jobs do: `warm_up` first.
    """
    context = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(race.module, race.setup, job, size, sender))
    process.start()
    sender.close()
    try:
        seconds, peak, result = receiver.recv()
    except EOFError as error:
        raise RuntimeError(f"{race.name}: expected '{job}' to finish, got no result.") from error
    finally:
        process.join()
    return seconds, peak, result


def measure_flops_per_second(n: int = 1500) -> float:
    """Speed of a large float32 matrix product with the threads in use, best of 5."""
    A = np.ones((n, n), dtype=np.float32)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        A @ A
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def warm_up(race: Race) -> None:
    """Run both jobs small in this process, so that forks inherit imports and tables."""
    room = importlib.import_module(race.module)
    for job in (race.ours, race.theirs):
        getattr(room, job)(getattr(room, race.setup)(**race.quick))


def run_race(
    race: Race, *, quick: bool, repeats: int, speed: float, method: str = "spawn"
) -> dict[str, Any]:
    """Run both jobs ``repeats`` times, taking turns, and make the row.

    ``equal`` is the largest difference, ours minus the peer's where the signs should be seen.
    """
    size = race.quick if quick else race.full
    if method == "fork":
        warm_up(race)
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(run_once(race, race.ours, size, method=method))
        theirs.append(run_once(race, race.theirs, size, method=method))
    ours_s = statistics.median(run[0] for run in ours)
    peer_s = statistics.median(run[0] for run in theirs) * size.get("share", 1)
    limit = None
    if race.flops is not None:
        room = importlib.import_module(race.module)
        limit = getattr(room, race.flops)(**size) / speed / ours_s
    difference = np.asarray(ours[-1][2], float) - np.asarray(theirs[-1][2], float)
    worst = float(difference.flat[np.abs(difference).argmax()])
    values = (
        race.name,
        ours_s,
        race.peer,
        peer_s,
        peer_s / ours_s,
        statistics.median(run[1] for run in ours),
        statistics.median(run[1] for run in theirs),
        limit,
        worst if race.signed else abs(worst),
    )
    return dict(zip(KEYS, values, strict=True))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay the rows out as aligned text."""
    cells = [list(KEYS), *([_cell(row[key]) for key in KEYS] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(KEYS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line of a benchmark."""
    parser = argparse.ArgumentParser(description="Ours against the peer.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under 60 s")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, at least 3")
    options = parser.parse_args(arguments)
    if options.repeats < 3:
        parser.error(f"--repeats: expected at least 3, got {options.repeats}.")
    return options


def show(rows: Sequence[dict[str, Any]], path: Path | None) -> None:
    """Print the table, and write the rows where asked for."""
    print(format_table(rows))
    if path is not None:
        path.write_text(json.dumps(list(rows), indent=2) + "\n")


def main(
    races: Sequence[Race], arguments: Sequence[str] | None = None, *, method: str = "spawn"
) -> None:
    """Run all races from the command line."""
    options = read_options(arguments)
    speed = measure_flops_per_second()
    rows = [
        run_race(race, quick=options.quick, repeats=options.repeats, speed=speed, method=method)
        for race in races
        if options.only in race.name
    ]
    show(rows, options.json)
