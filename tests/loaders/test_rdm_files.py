"""RDMs of three formats: the 92 images, layouts as their makers write them, and every fault."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rsatoolbox
import scipy.io
import xarray as xr
from scipy.spatial.distance import squareform
from scipy.stats import pearsonr, spearmanr

from neuroalign.errors import DataCorruptionError, LoadError, SchemaError
from neuroalign.loaders.rdm_files import load_rdms, to_rsatoolbox
from neuroalign.rsa import average_rdms, noise_ceiling
from neuroalign.storage import load, save

VECTORS = np.arange(1.0, 13).reshape(2, 6)
SQUARES = np.stack([squareform(vector) for vector in VECTORS])
NAMES = ["w", "x", "y", "z"]


def write_rsatoolbox(path: Path, values: np.ndarray = VECTORS, measure: str = "euclidean") -> Path:
    """The layout of RDMs.save: text as attrs, arrays as datasets, text arrays as bytes."""
    n = len(squareform(values[0]))
    with h5py.File(path, "w") as file:
        file["dissimilarities"] = values
        file.attrs["dissimilarity_measure"] = measure
        file.attrs["rsatoolbox_version"] = "0.3.2"
        file.create_group("descriptors")["session"] = 1
        file["descriptors"].attrs["roi"] = "V1"
        group = file.create_group("rdm_descriptors")
        group["index"] = np.arange(len(values))
        group["subj"] = np.array(["a", "b", "c"][: len(values)]).astype("S")
        group = file.create_group("pattern_descriptors")
        group["index"] = np.arange(n)
        group["animate"] = np.array((["yes", "no"] * n)[:n]).astype("S")
        group["conds"] = np.array(NAMES[:n]).astype("S")
    return path


def write_v73(path: Path, fill: Any) -> Path:
    with h5py.File(path, "w", userblock_size=512) as file:
        fill(file)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))
    return path


def test_human_and_monkey_it_agree_as_published(real_data: Path) -> None:
    path = real_data / "rsa_92images" / "Kriegeskorte_Neuron2008_supplementalData.mat"
    rdms = load_rdms(path)
    assert rdms["rdm"].values.tolist() == ["mIT_674neurons", "hITvisStim_316vx"]
    assert rdms.shape == (2, 4186)
    monkey, human = rdms.values
    assert pearsonr(monkey, human)[0] == pytest.approx(0.4912, abs=1e-4)
    assert spearmanr(monkey, human)[0] == pytest.approx(0.4389, abs=1e-4)


def test_the_session_mean_is_the_published_human_rdm(real_data: Path) -> None:
    folder = real_data / "rsa_92images"
    sessions = load_rdms(folder / "92_brainRDMs.mat")
    assert sessions.shape == (8, 4186)
    assert sessions["rdm"].values[0] == "hIT | BE | Session: 1"
    human = load_rdms(folder / "Kriegeskorte_Neuron2008_supplementalData.mat")[1]
    np.testing.assert_allclose(sessions.mean("rdm").values, human.values, atol=1e-6)


def test_the_model_rdms_bear_their_names_and_known_correlations(real_data: Path) -> None:
    folder = real_data / "rsa_92images"
    models = load_rdms(folder / "92_modelRDMs.mat", labels=[f"image {n}" for n in range(92)])
    human = load_rdms(folder / "Kriegeskorte_Neuron2008_supplementalData.mat")[1]
    assert models.sizes["rdm"] == 8
    assert models["second"].values[:2].tolist() == ["image 1", "image 2"]
    animacy = models.sel(rdm="animacy").values
    assert spearmanr(animacy, human.values)[0] == pytest.approx(0.588, abs=1e-3)
    behaviour = load_rdms(folder / "92_behavRDMs.mat").mean("rdm").values
    assert behaviour.shape == (4186,)
    assert spearmanr(behaviour, human.values)[0] == pytest.approx(0.392, abs=1e-3)


def test_rsatoolbox_files_keep_their_descriptors(tmp_path: Path) -> None:
    rdms = load_rdms(write_rsatoolbox(tmp_path / "r.h5"), categories="animate")
    np.testing.assert_array_equal(rdms.values, VECTORS)
    assert rdms["first"].values.tolist() == list("wwwxxy")
    assert rdms["second"].values.tolist() == list("xyzyzz")
    assert rdms["first_category"].values[3] == "no"
    assert rdms["subj"].values.tolist() == ["a", "b"]
    assert (rdms.attrs["distance"], rdms.attrs["roi"], rdms.attrs["session"]) == (
        "euclidean", "V1", 1,
    )  # fmt: skip
    assert load(save(rdms, tmp_path / "s.nc")).identical(rdms)


def test_three_rdms_of_three_conditions_stay_rows(tmp_path: Path) -> None:
    values = np.arange(1.0, 10).reshape(3, 3)
    rdms = load_rdms(write_rsatoolbox(tmp_path / "r.hdf5", values))
    np.testing.assert_array_equal(rdms.values, values)


def test_rdms_survive_the_way_to_rsatoolbox_and_back(tmp_path: Path) -> None:
    rdms = load_rdms(write_rsatoolbox(tmp_path / "r.h5"), categories="animate")
    path = to_rsatoolbox(rdms, tmp_path / "out" / "w.h5")
    again = load_rdms(path, labels="conditions", categories="category")
    xr.testing.assert_identical(again.drop_attrs(), rdms.drop_attrs())
    assert again.attrs["distance"] == "euclidean"
    with h5py.File(path) as file:
        assert file["pattern_descriptors/conditions"][()].tolist() == [b"w", b"x", b"y", b"z"]
        assert file["rdm_descriptors/index"][()].tolist() == [0, 1]


def test_square_stacks_are_written_in_the_order_of_pairs(tmp_path: Path) -> None:
    rdms = xr.DataArray(
        SQUARES,
        {"subject": ["s1", "s2"], "first": NAMES, "second": NAMES},
        ("subject", "first", "second"),
        attrs={"kind": "dissimilarity"},
    )
    again = load_rdms(to_rsatoolbox(rdms, tmp_path / "w.h5"))
    np.testing.assert_array_equal(again.values, VECTORS)
    assert again["subject"].values.tolist() == ["s1", "s2"]
    named = again.assign_coords(rdm=["one", "two"])
    twice = load_rdms(to_rsatoolbox(named, tmp_path / "n.h5"))
    assert twice["rdm"].values.tolist() == ["one", "two"]
    one = load_rdms(to_rsatoolbox(rdms[0].drop_vars("subject"), tmp_path / "one.h5"))
    np.testing.assert_array_equal(one.values, VECTORS[:1])


def test_what_rsatoolbox_cannot_hold_is_refused(tmp_path: Path) -> None:
    rdms = load_rdms(write_rsatoolbox(tmp_path / "r.h5"))
    with pytest.raises(SchemaError, match="rdms: expected kind 'dissimilarity', got 'cross'"):
        to_rsatoolbox(rdms.assign_attrs(kind="cross"), tmp_path / "w.h5")
    with pytest.raises(SchemaError, match="rdms: expected pairs in the order"):
        to_rsatoolbox(rdms[:, ::-1], tmp_path / "w.h5")
    with pytest.raises(ValueError, match="path ending: expected one of"):
        to_rsatoolbox(rdms, tmp_path / "w.pkl")
    named = rdms.assign_coords(subj=("rdm", ["é", "b"]))
    with pytest.raises(SchemaError, match=r"rdms\.subj: expected ASCII names"):
        to_rsatoolbox(named, tmp_path / "w.h5")
    assert not (tmp_path / "w.h5").exists()


@pytest.mark.parametrize("values", [VECTORS, SQUARES, SQUARES[None], SQUARES.astype("f4")])
def test_numpy_stacks_of_any_form_load(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "r.npy", values)
    rdms = load_rdms(tmp_path / "r.npy", labels=NAMES)
    np.testing.assert_array_equal(rdms.values, VECTORS)
    assert rdms["rdm"].values.tolist() == ["rdm-00", "rdm-01"]
    assert rdms.attrs["kind"] == "dissimilarity"


def test_matlab_stacks_are_turned(tmp_path: Path) -> None:
    content = {"RDMs": SQUARES.transpose(1, 2, 0), "conds": np.array(NAMES, object), "n": 4}
    scipy.io.savemat(tmp_path / "r.mat", content)
    rdms = load_rdms(tmp_path / "r.mat", labels="conds")
    np.testing.assert_array_equal(rdms.values, VECTORS)
    assert rdms["second"].values.tolist() == list("xyzyzz")


def test_cells_of_structs_load_by_name(tmp_path: Path) -> None:
    cells = np.empty(2, object)
    cells[:] = [{"RDM": square, "name": name} for square, name in zip(SQUARES, "ab", strict=True)]
    scipy.io.savemat(tmp_path / "r.mat", {"models": cells, "other": SQUARES})
    assert load_rdms(tmp_path / "r.mat", key="models")["rdm"].values.tolist() == ["a", "b"]
    with pytest.raises(LoadError, match=r"r\.mat: expected one variable of RDMs, got 2 \('models'"):
        load_rdms(tmp_path / "r.mat")
    with pytest.raises(LoadError, match=r"r\.mat: expected variable 'none', got 'models'"):
        load_rdms(tmp_path / "r.mat", key="none")


def fill_struct_array(file: h5py.File) -> None:
    refs = file.create_group("#refs#")
    for n, (square, name) in enumerate(zip(SQUARES, ["first", "second"], strict=True)):
        refs[f"d{n}"] = square
        refs[f"d{n}"].attrs["MATLAB_class"] = np.bytes_("double")
        refs[f"n{n}"] = np.array([[ord(c)] for c in name], np.uint16)
        refs[f"n{n}"].attrs["MATLAB_class"] = np.bytes_("char")
    group = file.create_group("rdms")
    group.attrs["MATLAB_class"] = np.bytes_("struct")
    for field, letter in (("RDM", "d"), ("name", "n")):
        held = group.create_dataset(field, (2, 1), h5py.ref_dtype)
        for n in range(2):
            held[n, 0] = refs[f"{letter}{n}"].ref


def test_version_73_loads_through_hdf5(tmp_path: Path) -> None:
    rdms = load_rdms(write_v73(tmp_path / "s.mat", fill_struct_array))
    assert rdms["rdm"].values.tolist() == ["first", "second"]
    np.testing.assert_array_equal(rdms.values, VECTORS)
    plain = write_v73(tmp_path / "p.mat", lambda file: file.create_dataset("R", data=SQUARES))
    np.testing.assert_array_equal(load_rdms(plain).values, VECTORS)


def changed(index: tuple[int, ...], value: float) -> np.ndarray:
    values = SQUARES.copy()
    values[index] = value
    return values


NAN = VECTORS.copy()
NAN[1, 5] = np.nan


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed((1, 0, 2), 40), r"r\.npy RDM 1: expected a symmetric RDM, got 40 and 8 for"),
        (changed((0, 1, 1), 1), r"r\.npy RDM 0: expected a diagonal of 0, got 1 at condition 1"),
        (NAN, r"r\.npy: expected finite .* RDM 'rdm-01' for conditions 2 and 3 \(1 of 12"),
        (-VECTORS, r"r\.npy: expected dissimilarities of 0 or more, got -1 in RDM 'rdm-00'"),
        (VECTORS[:, :5], r"r\.npy: expected n\(n-1\)/2 dissimilarities .* got 5"),
        (np.array(["a"]), r"r\.npy: expected dissimilarities, got shape \(1,\) of <U1"),
        (np.zeros((1, 1)), r"r\.npy"),
    ],
)
def test_what_is_no_rdm_is_named(tmp_path: Path, values: np.ndarray, message: str) -> None:
    np.save(tmp_path / "r.npy", values)
    form = "square" if values.shape == (1, 1) else None
    with pytest.raises(LoadError, match=message):
        load_rdms(tmp_path / "r.npy", form=form)


def test_cross_validated_distances_may_be_negative(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", -VECTORS)
    assert load_rdms(tmp_path / "r.npy", distance="crossnobis").attrs["distance"] == "crossnobis"
    path = write_rsatoolbox(tmp_path / "r.h5", -VECTORS, "crossnobis")
    assert float(load_rdms(path).min()) == -12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": NAMES[:3]}, r"r\.h5: expected 4 labels .* got 3"),
        ({"labels": list("aabc")}, r"r\.h5: expected unique labels, got 'a' repeated"),
        ({"labels": "cond"}, r"r\.h5: labels: expected one of 'animate', 'conds'.* Did you mean"),
        ({"categories": ["a"]}, r"r\.h5: expected 4 categories, got 1"),
        ({"key": "rdm"}, r"r\.h5: expected RDMs as rsatoolbox writes them, with 'rdm'"),
        ({"form": "round"}, r"form: expected one of 'square', 'condensed'"),
        ({"form": "square"}, r"r\.h5.*: expected square RDMs .* got shape \(2, 6\)"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    path = write_rsatoolbox(tmp_path / "r.h5")
    with pytest.raises(ValueError, match=message):
        load_rdms(path, **arguments)


def test_damaged_and_unsafe_files_are_refused(tmp_path: Path) -> None:
    whole = write_rsatoolbox(tmp_path / "r.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataCorruptionError, match=r"cut\.h5: .*expected a whole HDF5 file"):
        load_rdms(tmp_path / "cut.h5")
    scipy.io.savemat(tmp_path / "m.mat", {"R": SQUARES})
    (tmp_path / "text.mat").write_text("no MATLAB file at all " * 20)
    with pytest.raises(DataCorruptionError, match=r"text\.mat: expected a whole MATLAB file"):
        load_rdms(tmp_path / "text.mat")
    (tmp_path / "cut.mat").write_bytes((tmp_path / "m.mat").read_bytes()[:300])
    with pytest.raises(DataCorruptionError, match=r"cut\.mat: expected a whole MATLAB file"):
        load_rdms(tmp_path / "cut.mat")
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(LoadError, match=r"o\.npy: .*pickled objects"):
        load_rdms(tmp_path / "o.npy")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["dissimilarities"] = h5py.ExternalLink("r.h5", "dissimilarities")
    with pytest.raises(DataCorruptionError, match=r"link\.h5: .*a link at '/dissimilarities'"):
        load_rdms(tmp_path / "link.h5")
    with pytest.raises(ValueError, match=r"r\.pkl: ending: expected one of '\.h5'"):
        load_rdms(tmp_path / "r.pkl")


def fill_cells(file: h5py.File) -> None:
    refs = file.create_group("#refs#")
    for n, name in enumerate(NAMES):
        refs[f"c{n}"] = np.array([[ord(name)]], np.uint16)
        refs[f"c{n}"].attrs["MATLAB_class"] = np.bytes_("char")
    cells = file.create_dataset("conds", (4, 1), h5py.ref_dtype)
    cells.attrs["MATLAB_class"] = np.bytes_("cell")
    for n in range(4):
        cells[n, 0] = refs[f"c{n}"].ref
    group = file.create_group("one")
    group.attrs["MATLAB_class"] = np.bytes_("struct")
    group["RDM"] = SQUARES[0]
    file["nothing"] = np.zeros(2, np.uint64)
    file["nothing"].attrs["MATLAB_empty"] = 1


def test_cells_of_text_in_version_73_name_the_conditions(tmp_path: Path) -> None:
    rdms = load_rdms(write_v73(tmp_path / "s.mat", fill_cells), labels="conds")
    np.testing.assert_array_equal(rdms.values, VECTORS[:1])
    assert rdms["second"].values[:3].tolist() == list("xyz")


def test_descriptors_of_another_length_and_mixed_sizes_are_refused(tmp_path: Path) -> None:
    path = write_rsatoolbox(tmp_path / "r.h5")
    with h5py.File(path, "a") as file:
        file["pattern_descriptors/odd"] = np.arange(3)
    with pytest.raises(LoadError, match=r"pattern_descriptors: expected 4 values of 'odd'"):
        load_rdms(path)
    cells = np.empty(2, object)
    cells[:] = [SQUARES[0], squareform(np.ones(3))]
    scipy.io.savemat(tmp_path / "m.mat", {"R": cells})
    with pytest.raises(LoadError, match=r"m\.mat: expected RDMs of the same conditions"):
        load_rdms(tmp_path / "m.mat")


def test_rsatoolbox_reads_what_we_write_and_writes_it_back(tmp_path: Path) -> None:
    square = np.stack([SQUARES, 2 * SQUARES], axis=1)
    coords: dict[str, Any] = {
        "subject": ["s1", "s2"], "time": [0.1, 0.25], "first": NAMES, "second": NAMES,
        "first_category": ("first", ["face", "face", "house", "house"]),
    }  # fmt: skip
    attrs = {"kind": "dissimilarity", "distance": "crossnobis", "roi": "V1"}
    ours = xr.DataArray(square, coords, ("subject", "time", "first", "second"), attrs=attrs)
    theirs = rsatoolbox.rdm.load_rdm(str(to_rsatoolbox(ours, tmp_path / "ours.h5")))
    np.testing.assert_array_equal(theirs.get_matrices(), square.reshape(4, 4, 4))
    assert theirs.dissimilarity_measure == "crossnobis"
    assert theirs.descriptors["roi"] == "V1"
    assert list(theirs.rdm_descriptors["subject"]) == ["s1", "s1", "s2", "s2"]
    assert list(theirs.rdm_descriptors["time"]) == [0.1, 0.25, 0.1, 0.25]
    assert list(theirs.pattern_descriptors["conditions"]) == NAMES
    assert list(theirs.pattern_descriptors["category"]) == ["face", "face", "house", "house"]
    theirs.save(str(tmp_path / "theirs.h5"), file_type="hdf5")
    again = load_rdms(tmp_path / "theirs.h5", labels="conditions", categories="category")
    np.testing.assert_array_equal(again.values, VECTORS[[0, 0, 1, 1]] * [[1], [2], [1], [2]])
    assert again["subject"].values.tolist() == ["s1", "s1", "s2", "s2"]
    assert again["second_category"].values.tolist() == ["face"] + ["house"] * 5


def test_files_of_rsatoolbox_go_through_us_unharmed(tmp_path: Path) -> None:
    theirs = rsatoolbox.rdm.RDMs(
        VECTORS, "correlation", {"session": 1, "task": "naming"}, {"subject": ["a", "b"]},
        {"conds": NAMES, "animate": ["yes", "no", "yes", "no"]},
    )  # fmt: skip
    theirs.save(str(tmp_path / "theirs.hdf5"), file_type="hdf5")
    ours = load_rdms(tmp_path / "theirs.hdf5", labels="conds", categories="animate")
    back = rsatoolbox.rdm.load_rdm(str(to_rsatoolbox(ours, tmp_path / "ours.hdf5")))
    np.testing.assert_array_equal(back.dissimilarities, theirs.dissimilarities)
    assert (back.dissimilarity_measure, back.descriptors["task"]) == ("correlation", "naming")
    assert int(back.descriptors["session"]) == 1
    assert list(back.rdm_descriptors["subject"]) == ["a", "b"]
    assert list(back.pattern_descriptors["conditions"]) == NAMES
    assert list(back.pattern_descriptors["category"]) == ["yes", "no", "yes", "no"]


def test_an_interrupted_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rdms = load_rdms(write_rsatoolbox(tmp_path / "r.h5"))
    path = to_rsatoolbox(rdms, tmp_path / "w.h5")
    before = path.read_bytes()

    def fail(source: object, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        to_rsatoolbox(rdms * 2, path)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["r.h5", "w.h5"]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["IT | BE | Session: 1", "IT | BE | Session: 2"], {"session": ["1", "2"]}),
        (["judge | subject1", "judge | subject12"], {"subject": ["1", "12"]}),
        (
            ["sub-01_ses-a_run-1"] * 2,
            {"subject": ["01"] * 2, "session": ["a"] * 2, "run": ["1"] * 2},
        ),
        (["session 1", "other"], {}),
        (["submarine", "trunk 2"], {}),
    ],
)
def test_labels_are_read_from_names_that_all_hold_them(
    tmp_path: Path, names: list[str], labels: dict[str, list[str]]
) -> None:
    structs = [{"RDM": np.array([1.0, 2.0, 3.0]), "name": name} for name in names]
    scipy.io.savemat(tmp_path / "x.mat", {"R": np.array(structs, dtype=object)})
    rdms = load_rdms(tmp_path / "x.mat")
    held = {"subject", "session", "run"} & set(rdms.coords)
    assert {name: rdms[name].values.tolist() for name in held} == labels


def test_sessions_of_the_92_images_are_labelled_and_averaged(real_data: Path) -> None:
    rdms = load_rdms(real_data / "rsa_92images/92_brainRDMs.mat")
    assert rdms["session"].values.tolist() == ["1"] * 4 + ["2"] * 4
    who = np.array([name.split(" | ")[1] for name in rdms["rdm"].values])
    people = {one: average_rdms(rdms[who == one], over="rdm") for one in np.unique(who)}
    assert list(people) == ["BE", "KO", "SN", "TI"]
    bounds = noise_ceiling(people, method="rho_a")
    assert float(bounds["ceiling_lower"]) == pytest.approx(0.372, abs=5.1e-4)
