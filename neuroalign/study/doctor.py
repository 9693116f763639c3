"""What this machine brings: versions, extras, processors, and where data are kept."""

import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import neuroalign
from neuroalign.provenance import LIBRARIES
from neuroalign.study.executors import count_cpus

# Extra -> a module that it brings.
EXTRAS = {
    "torch": "torch",
    "fmri": "nilearn",
    "meg": "mne",
    "spikes": "pynwb",
    "text": "transformers",
    "audio": "soundfile",
    "video": "av",
    "vision": "timm",
    "tensors": "tensorly",
    "factors": "statsmodels",
    "maps": "neuromaps",
    "topology": "ripser",
    "data": "pooch",
    "dask": "distributed",
    "slurm": "submitit",
    "report": "matplotlib",
}


def examine() -> dict[str, Any]:
    """Describe this installation and machine.

    Returns
    -------
    dict
        ``neuroalign``, ``python``, ``platform``, ``libraries``, ``extras`` (name -> there or
        not), ``cpus`` this process may use, ``free_disk_gb`` here, ``data_folder``.
    """
    libraries = {}
    for name in LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "neuroalign": neuroalign.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libraries": libraries,
        "extras": {
            name: importlib.util.find_spec(module) is not None for name, module in EXTRAS.items()
        },
        "cpus": count_cpus(),
        "free_disk_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "data_folder": os.environ.get("NEUROALIGN_DATA", ""),
    }
