"""What the room says of itself holds: tables are complete, and every name in them is there."""

import re

import numpy as np
import pytest

import neuroalign
from neuroalign import rsa
from neuroalign.errors import SchemaError
from neuroalign.rsa import comparisons, distances
from neuroalign.rsa._bootstrap import MIN_UNIQUE

RULE = re.compile(r"^=+ +=+$")


def read_rows(text: str | None) -> list[tuple[str, str]]:
    """Both columns of the table in a docstring, up to its last rule."""
    lines = (text or "").splitlines()
    rules = [n for n, line in enumerate(lines) if RULE.match(line)]
    width = lines[rules[0]].index(" ")
    body = lines[rules[0] + 1 : rules[-1]]
    return [(line[:width].strip(), line[width:].strip()) for line in body]


@pytest.mark.parametrize(
    ("module", "table"),
    [(distances, rsa.DISTANCES), (comparisons, rsa.COMPARISONS)],
    ids=["distances", "comparisons"],
)
def test_every_entry_is_said_in_words(module: object, table: dict[str, object]) -> None:
    rows = read_rows(module.__doc__)
    named = [name.strip("`") for name, _ in rows if name]
    assert sorted(named) == sorted(table)
    assert all(len(words) > 20 for name, words in rows if name)


def test_the_words_on_cross_distances_count_right() -> None:
    assert list(rsa.CROSS_DISTANCES) == list(rsa.DISTANCES)[:6]
    assert "takes the first six" in " ".join((distances.__doc__ or "").split())


def test_the_table_for_users_of_rsatoolbox_is_short_and_resolves() -> None:
    rows = read_rows(rsa.__doc__)
    assert 10 < len(rows) <= 25
    ours = re.findall(r"``((?:rsa|loaders|report)\.\w+)``", " ".join(right for _, right in rows))
    assert len(ours) > 20
    for name in ours:
        room, thing = name.split(".")
        assert hasattr(getattr(neuroalign, room), thing), name


def test_names_of_rsatoolbox_are_theirs() -> None:
    import rsatoolbox.data
    import rsatoolbox.inference
    import rsatoolbox.model
    import rsatoolbox.rdm
    import rsatoolbox.util.searchlight
    import rsatoolbox.vis

    homes = [
        rsatoolbox.data, rsatoolbox.data.noise, rsatoolbox.inference, rsatoolbox.model,
        rsatoolbox.rdm, rsatoolbox.rdm.RDMs, rsatoolbox.util.searchlight, rsatoolbox.vis,
        rsatoolbox.rdm.rdms, rsatoolbox.inference.noise_ceiling,
    ]  # fmt: skip
    words = re.findall(r"``([\w.]+)", " ".join(left for left, _ in read_rows(rsa.__doc__)))
    for word in words:
        last = word.split(".")[-1]
        if last and not last.startswith("_") and word != "eval_bootstrap...":
            assert any(hasattr(home, last) for home in homes), word


def test_what_infer_needs_is_what_its_docstring_says(rng: np.random.Generator) -> None:
    text = " ".join((rsa.infer.__doc__ or "").split())
    assert f"Needed are {MIN_UNIQUE} conditions or more, 2 subjects or more but for" in text
    few = {name: rsa.from_matrix(rng.random(3), "abc") for name in ("s1", "s2")}
    with pytest.raises(SchemaError, match=f"data: expected {MIN_UNIQUE} conditions or more, got 3"):
        rsa.infer({"a": few["s1"]}, few)
    people = {name: rsa.from_matrix(rng.random(66), "abcdefghijkl") for name in ("s1", "s2")}
    found = rsa.infer({"a": people["s1"]}, people, n_bootstrap=20, n_permutations=9)
    for name in found.data_vars:
        assert f"``{name}``" in text, name
    assert float(found["p_permutation"][0]) >= 0.1
