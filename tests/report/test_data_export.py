"""Numbers leave the page as they are, and text leaves it as text."""

import json

import numpy as np
import pytest

from neuroalign.report._blocks import Table
from neuroalign.report.data_export import describe_table, name_file, to_plain, write_json
from tests.report.reading import HOSTILE


@pytest.mark.parametrize("label", HOSTILE)
def test_json_between_tags_holds_no_markup_and_loses_nothing(label: str) -> None:
    text = str(write_json({label: [label, 1.5]}))
    assert not set("<>&\u2028\u2029") & set(text)
    (key, (value, number)) = next(iter(json.loads(text).items()))
    assert key == value == to_plain(label)
    assert number == 1.5


def test_values_become_what_json_can_hold() -> None:
    odd = (np.float32(0.5), np.int64(3), np.nan, np.inf, None, True, np.array([[1, 2]]), "a\x00")
    assert to_plain(odd) == [0.5, 3, None, None, None, True, [[1, 2]], "a\ufffd"]
    assert to_plain({1: object}) == {"1": "<class 'object'>"}


def test_a_table_keeps_columns_of_one_name() -> None:
    table = Table("T", ("low", "low"), ((1.0, None), ("a", 2)), "said")
    described = {"title": "T", "caption": "said", "columns": ["low", "low"]}
    assert describe_table(table) == {**described, "rows": [[1.0, None], ["a", 2]]}


@pytest.mark.parametrize("label", HOSTILE)
def test_names_of_files_are_plain(label: str) -> None:
    name = name_file(label, "Scores by region", 3)
    assert name.isascii()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    assert name.endswith("Scores-by-region_3")


def test_a_file_always_has_a_name() -> None:
    assert name_file("…") == "neuroalign"
