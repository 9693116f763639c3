"""Messages name the argument, what was found and what to do."""

import pytest

from neuroalign.errors import MissingExtraError, choose, require, some


def test_choose_reads_a_table_or_names_its_options() -> None:
    assert choose({"a": 1}, "a", "option") == 1
    with pytest.raises(ValueError, match=r"metric: expected one of 'pearson', 'r2', got 'pearso'"):
        choose({"pearson": 1, "r2": 2}, "pearso", "metric")


def test_a_missing_library_names_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'neuroalign\[report\]'"):
        require("no_such_library", "report")
    assert require("json", "test").dumps(1) == "1"


def test_some_shows_few_and_counts_the_rest() -> None:
    assert some(["a", "b", "c"], limit=2) == "'a', 'b' and 1 more"
