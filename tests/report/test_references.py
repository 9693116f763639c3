"""Every paper can be read, cited and exported."""

import re

import pytest

from neuroalign.report import _method_table as table
from neuroalign.report.references import read_entry, read_references, to_unicode

TABLES = {
    name: rows
    for name, rows in vars(table).items()
    if isinstance(rows, dict) and name.isupper() and name != "SOFTWARE"
}


def test_accents_and_braces_are_read() -> None:
    assert to_unicode(r"Dupr{\'e} la Tour and Sch{\"o}lkopf") == "Dupré la Tour and Schölkopf"
    assert to_unicode("{fMRI}, 1--2") == "fMRI, 1–2"


def test_papers_of_one_two_and_many_authors() -> None:
    known = read_references()
    assert known["mantel1967"].short == "Mantel, 1967"
    assert known["phipson2010"].short == "Phipson & Smyth, 2010"
    assert known["allen2022"].short == "Allen et al., 2022"
    assert known["numpy"].long.startswith("Harris, C. R., Millman, K. J.")
    assert known["numpy"].long.endswith("Nature 585, 357–362, doi:10.1038/s41586-020-2649-2.")
    assert "others" not in known["numpy"].long


def test_keys_are_unique_and_titles_end_once() -> None:
    for key, reference in read_references().items():
        assert reference.bibtex.count("@") == 1, key
        assert not re.search(r"[.?]{2}|[{}\\]", reference.long), key


def test_every_entry_is_exported_as_balanced_bibtex() -> None:
    for reference in read_references().values():
        assert reference.bibtex.count("{") == reference.bibtex.count("}")
        assert reference.bibtex.endswith("}}\n}") or reference.bibtex.endswith("}\n}")


@pytest.mark.parametrize("name", TABLES)
def test_every_citation_of_a_method_is_known(name: str) -> None:
    for key, method in TABLES[name].items():
        assert set(method.cites) <= set(read_references()), key


def test_every_paper_is_cited_by_some_method() -> None:
    from_code = {"phipson2010", "benjamini1995", "benjamini2001", "nichols2002", "king2014"}
    cited = {key for rows in TABLES.values() for method in rows.values() for key in method.cites}
    assert set(read_references()) == cited | from_code | set(table.SOFTWARE.values())


def test_an_entry_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError, match=r"references.bib: expected an entry with author, title"):
        read_entry("@article{x, title={T}}")
