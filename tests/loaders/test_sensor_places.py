"""Places of sensors that no head has are said, once and with the channel."""

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from neuroalign.errors import NeuroalignWarning
from neuroalign.loaders import from_mne, load_continuous, load_epochs, load_meg
from neuroalign.study.description import list_findings, pick_faults

SAID = r"expected sensors within 0.3 m of the origin, got 'Pz' at 96 m \(2 of 3 are farther\)"


@pytest.fixture
def raw() -> Any:
    """Three channels, two of which lie where millimetres were written as metres."""
    info = mne.create_info(["Fz", "Cz", "Pz"], 100.0, "eeg", verbose="error")
    values = 1e-5 * np.random.default_rng(0).normal(size=(3, 400))
    raw = mne.io.RawArray(values, info, verbose="error")
    places = ([0.0, 0.07, 0.05], [0.0, 0.0, 90.0], [0.0, -80.0, 53.0])
    for channel, place in zip(raw.info["chs"], places, strict=True):
        channel["loc"][:3] = place
    return raw.set_annotations(mne.Annotations([1.0, 2.0], 0.1, ["face", "house"]))


def test_millimetres_as_metres_are_said_by_every_loader(raw: Any, tmp_path: Path) -> None:
    path = tmp_path / "x_raw.fif"
    raw.save(path, fmt="double", verbose="error")
    with pytest.warns(NeuroalignWarning, match=f"x_raw.fif: {SAID}") as caught:
        assert load_continuous(path)["y"].values[2] == pytest.approx(-80_000)
    # It points at the line of the user.
    assert Path(caught[0].filename) == Path(__file__)
    with pytest.warns(NeuroalignWarning, match=SAID):
        load_meg(path, window=(-0.1, 0.1))
    with pytest.warns(NeuroalignWarning, match=f"inst: {SAID}.*divide x, y and z by 1000"):
        from_mne(raw)
    assert [line[:46] for line in pick_faults(list_findings(path))] == [
        "wrong: x_raw.fif: expected sensors within 0.3 "
    ]


def test_heads_of_usual_size_are_not_said(raw: Any) -> None:
    for channel in raw.info["chs"][1:]:
        channel["loc"][:3] /= 1000
    assert from_mne(raw).sizes["neuroid"] == 3


def test_the_real_word_pairs_say_it(real_data: Path) -> None:
    path = real_data / "eeg_n400_wordpairs" / "subject04-epo.fif"
    with pytest.warns(NeuroalignWarning, match="hold.* millimetres as metres, probably") as caught:
        responses = load_epochs(path)
    assert len(caught) == 1
    fp1 = responses.isel(neuroid=responses["neuroid"].values.tolist().index("Fp1"))
    assert float(fp1["x"]) == pytest.approx(-26_250, rel=1e-3)
    assert len(pick_faults(list_findings(path))) == 1
