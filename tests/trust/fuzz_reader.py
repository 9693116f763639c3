"""The process that reads spoilt files: its memory is bounded, and it says how each read ended."""

import json
import logging
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from neuroalign.errors import NeuroalignError
from tests.trust.seeds import SEEDS

# Above what the libraries take by themselves.
ROOM = 1 << 30


def read_one(kind: str, path: str) -> dict[str, object]:
    """Read a file; name whatever is raised."""
    started = time.process_time()
    answer: dict[str, object] = {"end": "read"}
    try:
        SEEDS[kind].read(path)
    except (NeuroalignError, FileNotFoundError) as error:
        answer = {"end": "ours", "text": str(error)[:300]}
    # Whatever else leaves a reader is what is looked for.
    except BaseException as error:  # noqa: BLE001
        where = traceback.extract_tb(error.__traceback__)
        ours = [f"{one.filename.split('/')[-1]}:{one.lineno}" for one in where if "main" in one[0]]
        told = f"{type(error).__name__}: {error}"[:300]
        answer = {"end": "foreign", "text": told, "where": ours[-4:]}
    return answer | {"seconds": time.process_time() - started}


def main() -> None:
    """Answer each line of standard input with one of standard output."""
    # Libraries print; only answers go to the parent.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        for kind, row in SEEDS.items():
            # What is read once has brought its libraries in.
            row.read(str(row.make(Path(folder) / kind)))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print(json.dumps({"end": "ready"}), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(read_one(*json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
