"""The paragraph of methods that a paper may copy, and its references.

Sentences are made only of what results carry: attrs, provenance, and the variables that are there.
To describe one more method: its row in ``_method_table``. To describe one more kind: a function
from a result to a `Draft`, and its row in ``WRITERS``.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from neuroalign import __version__
from neuroalign.report._method_table import (
    CEILINGS,
    COMPARISONS,
    CONTAINERS,
    DISTANCES,
    ENCODERS,
    ESTIMATES,
    LATENTS,
    METRICS,
    SIMILARITIES,
    SOFTWARE,
    Method,
)
from neuroalign.report.references import read_references
from neuroalign.report.tables import read_provenance

Result = xr.DataArray | xr.Dataset
MOST_NAMES = 4
PLAIN_CROSSNOBIS = (
    "cross-validated squared Euclidean distances (crossnobis without noise normalisation)"
)
FDR = {"bh": "benjamini1995", "by": "benjamini2001"}
OWN = f"""@software{{neuroalign,
  author={{{{The neuroalign developers}}}},
  title={{neuroalign: neural data and brain-model alignment}},
  version={{{__version__}}}
}}"""


@dataclass
class Draft:
    """Sentences on one result, the keys they cite, and what there were no words for."""

    sentences: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def cite(self, keys: Iterable[str]) -> str:
        """Give ' (A, 1970; B, 1980)', or nothing, and note the keys."""
        found = list(keys)
        self.keys += found
        shorts = "; ".join(read_references()[key].short for key in found)
        return f" ({shorts})" if shorts else ""

    def name(self, table: Mapping[str, Method], key: str, what: str) -> str | None:
        """Words for a name with their citations, or None, which is noted."""
        method = table.get(key)
        if method is None:
            self.unknown.append(f"{what} '{key}'")
            return None
        return method.words + self.cite(method.cites)

    def say(self, sentence: str) -> None:
        """Add a sentence."""
        self.sentences.append(sentence)


@dataclass(frozen=True)
class Methods:
    """``sentences``: one paragraph each; ``references`` and ``bibtex``: what they cite."""

    sentences: tuple[str, ...]
    references: tuple[str, ...]
    bibtex: str
    unknown: tuple[str, ...]


def _parameters(result: Result) -> dict[str, Any]:
    found = read_provenance(result).get("parameters")
    return found if isinstance(found, dict) else {}


def _whole(value: Any) -> int:
    """A whole number, or 0 where there is none."""
    known = isinstance(value, int | float | np.number) and np.isfinite(value)
    return int(value) if known else 0


def _say_encoder(result: Result, draft: Draft) -> None:
    model = str(result.attrs.get("model", ""))
    names = [name for name in re.findall(r"\b([A-Z]\w*)\(", model) if name not in CONTAINERS]
    words = [draft.name(ENCODERS, name, "encoder") for name in dict.fromkeys(names)]
    known = [one for one in words if one]
    if not names:
        draft.unknown.append(f"model '{model}'" if model else "a model that is not named")
    n = result.sizes.get("neuroid", 0)
    rows = _whole(result.attrs.get("n_samples"))
    over = f" from {rows:,} samples" if rows else ""
    if known:
        draft.say(f"Responses of {n:,} neuroids were predicted{over} by {', then '.join(known)}.")


def _name_dealt(result: Result) -> str:
    """What folds were made of: a group, whole stimuli, or single rows; empty where not known."""
    if "group" not in result.attrs:
        return ""
    if result.attrs["group"]:
        return f" that never divided a {result.attrs['group']}"
    shared = _parameters(result).get("allow_shared_stimuli") is True
    return " over samples" if shared else " over stimuli"


def _say_folds(result: Result, draft: Draft) -> None:
    n = result.sizes.get("fold", 0)
    if not n:
        return
    text = f"Scores come from {n} folds{_name_dealt(result)}"
    gap, repeats = result.attrs.get("gap"), _whole(result.attrs.get("n_repeats"))
    if isinstance(gap, int | float) and gap > 0:
        text += f", with training rows within {gap:g} s of a test row left out"
    text += f", dealt {repeats} times" if repeats > 1 else ""
    draft.say(text + ".")


def _say_metric(result: Result, draft: Draft) -> None:
    if "metric" in result.attrs:
        words = draft.name(METRICS, str(result.attrs["metric"]), "metric")
        if words:
            draft.say(f"The score is {words} between predicted and observed responses.")


def _say_ceiling(result: Result, draft: Draft) -> None:
    if "ceiling" not in result or not np.isfinite(result["ceiling"].values).any():
        return
    how = str(_parameters(result).get("ceiling", ""))
    if not how and result.attrs.get("ceiling_method"):
        how = "Dataset"
    if how in CEILINGS:
        draft.say(f"The noise ceiling is {draft.name(CEILINGS, how, 'ceiling')}.")
    elif how in ("DataArray", "Dataset"):
        draft.say(_describe_given(result, draft))
    else:
        draft.unknown.append(f"ceiling '{how}'" if how else "a ceiling whose method is not named")


def _describe_given(result: Result, draft: Draft) -> str:
    """A ceiling that was passed in: how it was made, where its attrs or the history tell."""
    attrs = result["ceiling"].attrs
    named = (result.attrs.get("ceiling_method", ""), attrs.get("method", ""))
    said = [*map(str, named), *str(attrs.get("history", "")).split("\n")]
    said += [line for line in str(result.attrs.get("history", "")).split("\n") if "ceiling" in line]
    for how, method in CEILINGS.items():
        if any(re.search(rf"\b{how}\b", line) for line in said):
            n = result.attrs.get("ceiling_n_averaged", attrs.get("n_averaged"))
            many = isinstance(n, int | float | np.number) and np.isfinite(n) and n > 1
            averaged = f" for averages of {n:.3g} presentations" if many else ""
            return (
                f"The noise ceiling is {method.words}{draft.cite(method.cites)}; it was computed "
                f"beforehand{averaged}."
            )
    return "The noise ceiling was computed beforehand and given."


def _say_null(result: Result, draft: Draft) -> None:
    n = _whole(result.attrs.get("n_permutations"))
    if not n or "p_value" not in result:
        return
    scheme = str(result.attrs.get("permutation_scheme", ""))
    how = {"block": " of whole stimuli", "circular": " by circular shifts"}.get(scheme, "")
    draft.say(f"p values come from {n:,} permutations{how}{draft.cite(['phipson2010'])}.")


def _find_fdr(result: Result) -> list[str]:
    """The paper of the correction: as named, or the one that our own functions use."""
    versions = read_provenance(result).get("versions")
    ours = isinstance(versions, dict) and "neuroalign" in versions
    key = FDR.get(str(result.attrs.get("fdr_method", "bh" if ours else "")))
    return [key] if key else []


def _say_corrections(result: Result, draft: Draft) -> None:
    if "q_value" in result:
        text = "q values control the false discovery rate"
        draft.say(text + draft.cite(_find_fdr(result)) + ".")
    if "p_fwer" in result:
        text = "Family-wise error is controlled by the maximum statistic"
        draft.say(text + draft.cite(["nichols2002"]) + ".")


def _write_encoding(result: Result) -> Draft:
    draft = Draft()
    for say in (_say_encoder, _say_folds, _say_metric, _say_ceiling, _say_null, _say_corrections):
        say(result, draft)
    return draft


def _write_generalization(result: Result) -> Draft:
    if "method" in result.attrs:
        return _write_estimate(result)
    draft = Draft()
    _say_encoder(result, draft)
    draft.say(
        "An encoder fitted at each time was scored at every time"
        + draft.cite(["king2014"]) + "."
    )  # fmt: skip
    for say in (_say_folds, _say_metric):
        say(result, draft)
    return draft


def _write_rdm(result: Result) -> Draft:
    draft = Draft()
    distance = str(result.attrs.get("distance", ""))
    words = draft.name(DISTANCES, distance, "distance")
    if words:
        noise, fold = str(result.attrs.get("noise", "none")), result.attrs.get("fold")
        if distance == "crossnobis" and noise == "none":
            words = words.replace(DISTANCES[distance].words, PLAIN_CROSSNOBIS)
        text = f"Dissimilarities are {words}"
        text += f", with noise covariance '{noise}'" if noise != "none" else ""
        draft.say(text + (f", folds by {fold}." if fold else "."))
    return draft


def _write_rsa(result: Result) -> Draft:
    draft, attrs = Draft(), result.attrs
    clause = ESTIMATES["RSA"]
    if not str(attrs.get("method", "RSA")).startswith("RSA"):
        return _write_estimate(result)
    by = draft.name(COMPARISONS, str(attrs.get("metric", "")), "comparison")
    text = clause.words + draft.cite(clause.cites)
    draft.say(text + (f"; RDMs were compared by {by}." if by else "."))
    n, unit = _whole(attrs.get("n_bootstrap")), str(attrs.get("bootstrap", "none"))
    if n and unit != "none":
        over = {"both": "subjects and stimuli"}.get(unit, unit)
        draft.say(f"Uncertainty comes from {n:,} bootstrap resamples of {over}.")
    permuted = _whole(attrs.get("n_permutations")) if "p_permutation" in result else 0
    if permuted:
        draft.say(
            "Whether models are related to the data was tested by "
            f"{permuted:,} permutations of condition labels{draft.cite(['phipson2010'])}."
        )
    if "generalises_to" in attrs:
        draft.say(f"Inference is to {attrs['generalises_to']}.")
    _say_corrections(result, draft)
    return draft


def _write_estimate(result: Result) -> Draft:
    draft = Draft()
    method = str(result.attrs.get("method", ""))
    found = re.fullmatch(r"([^()]+?)(?: \(([^()]*)\))?", method)
    base, inner = (found[1], found[2] or "") if found else (method, "")
    if base in ESTIMATES:
        clause = ESTIMATES[base]
        by = COMPARISONS.get(inner)
        text = clause.words + draft.cite(clause.cites)
        draft.say(text + (f", by {by.words}{draft.cite(by.cites)}." if by else "."))
        _say_null(result, draft)
        _say_corrections(result, draft)
    elif base == "compare":
        _say_similarity(result, inner, draft)
    elif base in LATENTS:
        draft.say(f"Data were modelled by {draft.name(LATENTS, base, 'model')}.")
    else:
        draft.unknown.append(f"method '{method}'" if method else "a method that is not named")
    return draft


def _say_similarity(result: Result, metric: str, draft: Draft) -> None:
    words = draft.name(SIMILARITIES, metric, "similarity")
    if words:
        draft.say(f"Representations were compared by {words}.")
        _say_null(result, draft)
        _say_corrections(result, draft)


def _write_layers(result: Result) -> Draft:
    if "method" in result.attrs:
        return _write_estimate(result)
    draft = Draft()
    metric = str(result.attrs.get("metric", ""))
    if metric in SIMILARITIES:
        _say_similarity(result, metric, draft)
        return draft
    n, rois = result.sizes.get("layer", 0), result.sizes.get("roi", 0)
    draft.say(f"{n} layers were compared in {rois} regions.")
    if metric:
        words = draft.name(METRICS, metric, "metric")
        if words:
            draft.say(f"Their score is {words}.")
    return draft


def _write_latents(result: Result) -> Draft:
    method = str(result.attrs.get("method", result.attrs.get("model", "")))
    draft = Draft()
    words = draft.name(LATENTS, method, "model") if method else None
    if words:
        what = str(result.attrs["kind"]).capitalize()
        draft.say(f"{what} come from {words}.")
    elif not method:
        draft.unknown.append("latents whose model is not named")
    return draft


def _write_nothing(result: Result) -> Draft:
    """Data that no method of ours made."""
    return Draft()


WRITERS: dict[str, Callable[[Result], Draft]] = {
    "encoding": _write_encoding,
    "layers": _write_layers,
    "dissimilarity": _write_rdm,
    "cross": _write_rdm,
    "responses": _write_nothing,
    "features": _write_nothing,
    "matched": _write_nothing,
    "latents": _write_latents,
    "states": _write_latents,
    "estimate": _write_estimate,
    "rsa": _write_rsa,
    "generalisation": _write_generalization,
}


def _write_software(results: Mapping[str, Result], draft: Draft) -> None:
    versions: dict[str, list[str]] = {}
    for result in results.values():
        found = read_provenance(result).get("versions")
        for library, version in (found if isinstance(found, dict) else {}).items():
            if version not in versions.setdefault(str(library), []):
                versions[str(library)].append(str(version))
    if not versions:
        return
    named = [
        f"{library} {' and '.join(known)}"
        + draft.cite([key] if (key := SOFTWARE.get(library)) else [])
        for library, known in versions.items()
    ]
    draft.say(f"Computed with {', '.join(named)}.")


def describe_methods(results: Mapping[str, Result]) -> Methods:
    """Describe in words what the results say was done to get them.

    Parameters
    ----------
    results : mapping of str to Dataset or DataArray

    Returns
    -------
    Methods
        Results that were made alike share a paragraph. Methods without words are in ``unknown``,
        by the names that results give them.
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    keys: list[str] = []
    unknown: dict[str, list[str]] = {}
    for name, result in results.items():
        draft = WRITERS.get(str(result.attrs.get("kind", "")), _write_nothing)(result)
        keys += draft.keys
        for what in draft.unknown:
            unknown.setdefault(what, []).append(name)
        if draft.sentences:
            alike.setdefault(tuple(draft.sentences), []).append(name)
    paragraphs = [
        (f"{_join(names)}: " if len(results) > 1 else "") + " ".join(sentences)
        for sentences, names in alike.items()
    ]
    software = Draft()
    _write_software(results, software)
    cited = dict.fromkeys([*keys, *software.keys])
    references = [read_references()[key] for key in cited]
    references.sort(key=lambda reference: reference.long.casefold())
    return Methods(
        (*paragraphs, *software.sentences),
        tuple(reference.long for reference in references),
        "\n\n".join([OWN, *(reference.bibtex for reference in references)]),
        tuple(f"{what} (in {_join(names)})" for what, names in unknown.items()),
    )


def _join(names: list[str]) -> str:
    """Name some results, and count the rest."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
