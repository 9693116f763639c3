"""The package runs as a command."""

import subprocess
import sys


def test_the_package_runs_as_the_command() -> None:
    command = [sys.executable, "-m", "neuroalign", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("neuroalign ")
