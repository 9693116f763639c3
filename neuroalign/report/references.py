"""The papers that methods come from: ``references.bib``, read once.

To cite one more: its BibTeX entry on a line of its own, the values in braces, and its key in
``_method_table``.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from unicodedata import normalize

# Accents as BibTeX writes them, and as Unicode adds them to the letter before.
ACCENTS = {"'": "\u0301", '"': "\u0308", "`": "\u0300", "^": "\u0302", "~": "\u0303"}


@dataclass(frozen=True)
class Reference:
    """A paper; ``short`` stands in a sentence, ``long`` in a list, ``bibtex`` in a file."""

    key: str
    short: str
    long: str
    bibtex: str


def to_unicode(text: str) -> str:
    r"""Turn accents such as ``{\\'e}`` into letters, and drop the braces that keep capitals.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    text = re.sub(r"\{?\\(['\"`^~])\{?(\w)\}?\}?", lambda found: found[2] + ACCENTS[found[1]], text)
    return normalize("NFC", re.sub(r"[{}]", "", text)).replace("--", "–")


def _shorten(authors: list[str], year: str) -> str:
    families = [author.split(",")[0] for author in authors]
    if len(families) == 1:
        named = families[0]
    elif len(families) == 2 and families[1] != "others":
        named = " & ".join(families)
    else:
        named = f"{families[0]} et al."
    return f"{named}, {year}"


def read_entry(line: str) -> Reference:
    """Read one entry of BibTeX.

    Parameters
    ----------
    line : str
        With ``author``, ``title`` and ``year``.

    Returns
    -------
    Reference
    """
    head = re.match(r"@(\w+)\{([\w-]+),", line)
    fields = dict(re.findall(r"(\w+)=\{((?:[^{}]|\{[^{}]*\})*)\}", line))
    if head is None or not {"author", "title", "year"} <= set(fields):
        raise ValueError(
            f"references.bib: expected an entry with author, title and year, got '{line[:60]}'. "
            "Write it on one line, values in braces."
        )
    known = {name: to_unicode(value) for name, value in fields.items()}
    authors = known["author"].split(" and ")
    named = ", ".join(authors).replace("others", "et al.")
    place = known.get("journal") or known.get("booktitle") or known.get("institution", "")
    if "volume" in known:
        place += f" {known['volume']}" + (f", {known['pages']}" if "pages" in known else "")
    where = f"doi:{known['doi']}" if "doi" in known else ""
    where = where or (f"arXiv:{known['eprint']}" if "eprint" in known else "")
    tail = ", ".join(filter(None, (place, where)))
    long = f"{named} ({known['year']}). {known['title'].rstrip('?')}"
    long += ("?" if known["title"].endswith("?") else ".") + (f" {tail}." if tail else "")
    bibtex = re.sub(r", (\w+)=\{", r",\n  \1={", line[:-1].rstrip()) + "\n}"
    return Reference(head[2], _shorten(authors, known["year"]), long, bibtex)


@cache
def read_references() -> dict[str, Reference]:
    """Read all papers.

    Returns
    -------
    dict of str to Reference
    """
    text = files("neuroalign.report").joinpath("references.bib").read_text(encoding="utf-8")
    found = [read_entry(line) for line in text.splitlines() if line.strip()]
    return {reference.key: reference for reference in found}
