"""Spoil many files of each format at random: none may crash, hang, swell or be misread silently.

``python -m benchmarks.fuzz --cases 10000`` prints how the reads ended by format, and each failure.
"""

import argparse
import json
import tempfile
from pathlib import Path

from tests.trust.fuzzing import run_cases
from tests.trust.seeds import SEEDS


def main() -> None:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--kinds", nargs="*", default=list(SEEDS), choices=list(SEEDS))
    parser.add_argument("--json", type=Path, help="Write counts and failures there.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = run_cases(
            Path(folder), asked.cases, seed=asked.seed, kinds=asked.kinds, seconds=asked.seconds
        )
    for name, count in sorted(tally.counts.items()):
        print(f"{name:40} {count:6}")
    print(f"cases {sum(tally.counts.values())}, slowest {tally.slowest:.2f} s of processor time")
    for failure in tally.failures:
        print(failure)
    if asked.json is not None:
        found = {"counts": dict(tally.counts), "failures": tally.failures}
        asked.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    raise SystemExit(bool(tally.failures))


if __name__ == "__main__":
    main()
