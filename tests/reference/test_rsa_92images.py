"""The tutorial script on the 92 images prints the published and the reproduced numbers."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tutorials/scripts/rsa_92images.py"
PRINTED = {
    "human - monkey pearson": [0.4912],
    "human - monkey spearman": [0.4389],
    "ceiling cosine": [0.988, 0.993],
    "ceiling pearson": [0.394, 0.680],
    "ceiling rho_a": [0.372, 0.666],
    "ceiling tau_a": [0.254, 0.477],
    # Pools of unit whitened norm: unwhitened ones reach .817 and .430 .696.
    "ceiling whitened_cosine": [0.6652, 0.8177],
    "ceiling whitened_correlation": [0.4284, 0.6966],
    "fit rho_a animacy": [0.334],
    "fit rho_a monkeyIT": [0.296],
    "fit rho_a EVA": [0.245],
    "fit rho_a HMAX": [0.160],
    "fit rho_a Silhouette": [0.097],
    "fit rho_a RADON": [0.038],
    "fit rho_a V1": [0.027],
    "fit tau_a animacy": [0.223],
    "fit tau_a monkeyIT": [0.201],
    "fit tau_a EVA": [0.166],
    "fit tau_a HMAX": [0.107],
    "fit tau_a Silhouette": [0.065],
    "fit tau_a RADON": [0.026],
    "fit tau_a V1": [0.018],
}


@pytest.fixture
def printed(real_data: Path) -> dict[str, list[float]]:
    """Run the script and read its lines: a name, then numbers."""
    command = [sys.executable, str(SCRIPT), str(real_data / "rsa_92images")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines: dict[str, list[float]] = {}
    for line in done.stdout.splitlines():
        words = line.split()
        numbers = [word for word in words if word.replace(".", "").isdigit() and "." in word]
        lines[" ".join(word for word in words if word not in numbers)] = list(map(float, numbers))
    return lines


def test_the_script_prints_the_known_numbers(printed: dict[str, list[float]]) -> None:
    for name, expected in PRINTED.items():
        tolerance = 1e-4 if name.startswith("human") else 6e-4
        assert printed[name] == pytest.approx(expected, abs=tolerance), name


def test_the_script_is_short() -> None:
    assert len(SCRIPT.read_text().splitlines()) < 40
