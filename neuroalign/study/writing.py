"""Studies written for people: plain YAML that can be edited and run again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuroalign import storage
from neuroalign.errors import NeuroalignError
from neuroalign.study.config import Study, make_study
from neuroalign.study.records import check_folder, list_differences, make_folder, set_aside
from neuroalign.study.runner import find_out
from neuroalign.study.safe_yaml import read_yaml, write_yaml

FILE = "study.yaml"
MOST_SHOWN = 6


def write_study(content: Mapping[str, Any], folder: Path, *, update: bool = False) -> Study:
    """Write a study for people to edit, and read it back.

    Parameters
    ----------
    content : mapping
    folder : Path
        Made when absent; the file is ``study.yaml`` in it.
    update : bool
        Replace another study there; it stays beside the new one as ``study-HASH.yaml``.

    Returns
    -------
    Study

    Raises
    ------
    NeuroalignError
        When the folder holds another study, perhaps edited by hand.
    """
    path = folder / FILE
    study = make_study(content, path)
    if path.is_file():
        before = read_yaml(path)
        changed = list_differences(before, content)
        if not changed:
            return make_study(before, path)
        if not update:
            raise NeuroalignError(
                f"{path}: expected the study that this command writes, got another; it would "
                f"change {'; '.join(changed[:MOST_SHOWN])}. Run it as it stands ('neuroalign run "
                f"{path}'), give another --out, or --update to replace it: the old one is kept "
                "beside it."
            )
        set_aside(path)
    check_folder(study, find_out(study), update=update)
    make_folder(folder)
    text = write_yaml(content)
    head = "# A study: edit it, and run 'neuroalign run study.yaml' (see help(neuroalign.study)).\n"
    with storage.write_whole(path) as file:
        file.write_text(head + text, encoding="utf-8")
    return study
