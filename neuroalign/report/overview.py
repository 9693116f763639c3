"""What a page shows first: what was done, whether it can be trusted, what was warned of.

To add a card: a function from a result to lines, and its row in ``CARDS``. To add a check: a
function from a result to what it found (or None where it does not apply), and its row in
``CHECKS``. Both read only what the result carries; what it does not say stays unknown.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from neuroalign.report._summaries import (
    average,
    describe_model,
    find_floor,
    find_least_p,
    name_method,
    name_metric,
)
from neuroalign.report.tables import read_provenance

Result = xr.DataArray | xr.Dataset
State = Literal["bad", "look", "unknown", "good"]
MOST_LINES, MOST_NAMES = 4, 2
# Colour never stands alone: each state has its sign and its word.
SIGNS: dict[State, tuple[str, str]] = {
    "bad": ("✕", "problem"),
    "look": ("!", "look"),
    "unknown": ("?", "unknown"),
    "good": ("✓", "good"),
}


# Dims whose size says how large a study is, and how one is called.
COUNTED = {"neuroid": "neuroid", "subject": "subject", "roi": "region"}
BOUNDS = {"ceiling": "", "ceiling_lower": "lower bound ", "ceiling_upper": "upper bound "}
# Kinds whose ceiling is a share of variance, whatever the metric of their scores.
SHARES = ("encoding", "layers")


@dataclass(frozen=True)
class Finding:
    """What a check says of one result."""

    state: State
    text: str


@dataclass(frozen=True)
class Card:
    """A few lines on one question."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """What a check says of all results that it applies to; ``state`` is the worst of them."""

    title: str
    state: State
    lines: tuple[str, ...]

    @property
    def sign(self) -> str:
        """The mark of the state."""
        return SIGNS[self.state][0]

    @property
    def word(self) -> str:
        """The state as a word."""
        return SIGNS[self.state][1]


def _number(value: Any) -> float | None:
    """A number, or None where an attr is none."""
    known = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if known and np.isfinite(value) else None


def _parameters(result: Result) -> dict[str, Any]:
    found = read_provenance(result).get("parameters")
    return found if isinstance(found, dict) else {}


def _get(result: Result, name: str) -> Any:
    """An attr, or else a parameter of the run."""
    return result.attrs.get(name, _parameters(result).get(name))


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def _say_data(result: Result) -> list[str]:
    attrs = result.attrs
    named = {one: result.sizes[dim] for dim, one in COUNTED.items() if dim in result.sizes}
    samples = _number(attrs.get("n_samples"))
    if samples is not None:
        named = {"sample": int(samples), **named}
    text = ", ".join(_count(size, one) for one, size in named.items())
    return [part for part in (str(attrs.get("modality", "")), str(attrs.get("source", "")), text)
            if part]  # fmt: skip


def _say_model(result: Result) -> list[str]:
    said = [describe_model(str(_get(result, "model") or "")), str(_get(result, "layer") or "")]
    method = name_method(result.attrs.get("method", ""))
    return [line for line in (*said, method) if line]


def _get_score_dims(result: Result) -> tuple[Any, ...]:
    # Of an array, "in" would ask for values.
    known = isinstance(result, xr.Dataset) and "score" in result
    return result["score"].dims if known else ()


def _say_folds(result: Result) -> list[str]:
    # Summaries of several encodings keep their folds beside the score.
    if not isinstance(result, xr.Dataset) or "fold" not in _get_score_dims(result):
        return []
    text = _count(result.sizes["fold"], "fold")
    group, gap, repeats = (_get(result, name) for name in ("group", "gap", "n_repeats"))
    if group:
        text += f", no {group} divided"
    if _number(gap):
        text += f", gap {gap:g} s"
    if (_number(repeats) or 1) > 1:
        text += f", {repeats} times"
    return [text]


def _describe_ceiling(result: Result) -> str:
    """How the ceiling was made, where a result says it."""
    how = str(_parameters(result).get("ceiling", ""))
    if how not in ("DataArray", "Dataset"):
        return how
    known = str(result.attrs.get("ceiling_method", ""))
    return f"given ({known})" if known else "given"


def _say_ceiling(result: Result) -> list[str]:
    if not isinstance(result, xr.Dataset):
        return []
    names = [name for name in BOUNDS if name in result]
    how = _describe_ceiling(result)
    metric = result.attrs.get("metric")
    lines = []
    for name in names:
        values = np.asarray(result[name].values, dtype=np.float64)
        finite = values[np.isfinite(values)]
        if finite.size:
            middle = float(np.median(finite))
            alone = finite.size == 1
            text = f"{BOUNDS[name]}{'' if alone else 'median '}{middle:.3f}"
            if name == "ceiling" and result.attrs.get("kind") in SHARES:
                text += " of the variance"
                text += f" (r {np.sqrt(max(middle, 0)):.3f})" if metric == "pearson" else ""
            text += "" if alone else f", {_count(finite.size, 'value')}"
            lines.append(text + (f", {how}" if how else ""))
    return lines


def _say_null(result: Result) -> list[str]:
    n = _number(_get(result, "n_permutations"))
    if not n:
        return []
    scheme = result.attrs.get("permutation_scheme", "")
    return [
        f"{int(n):,} permutations{f' ({scheme})' if scheme else ''}, "
        f"least p {find_least_p(result) or 1 / (1 + n):.2g}"
    ]


def _say_score(result: Result) -> list[str]:
    known = isinstance(result, xr.Dataset) and "metric" in result.attrs
    return [name_metric(result)] if isinstance(result, xr.Dataset) and known else []


CARDS: dict[str, Callable[[Result], list[str]]] = {
    "Data": _say_data,
    "Model and method": _say_model,
    "Score": _say_score,
    "Cross-validation": _say_folds,
    "Noise ceiling": _say_ceiling,
    "Null": _say_null,
}


def _check_labels(result: Result) -> Finding | None:
    if "fold" not in _get_score_dims(result):
        return None
    parameters = _parameters(result)
    if parameters.get("allow_shared_stimuli") is True:
        return Finding("look", "stimuli may be on both sides of a fold")
    on = parameters.get("on")
    if not on:
        return Finding("unknown", "the result does not say by which labels rows were matched")
    return Finding(
        "good", f"rows agree on {' and '.join(map(str, on)) if isinstance(on, list) else on}"
    )


def _miss(result: Result, text: str) -> Finding | None:
    """Say that it is unknown; nothing of a result that is made of others."""
    return None if result.attrs.get("kind") in DERIVED else Finding("unknown", text)


def _check_dropped(result: Result) -> Finding | None:
    lines = str(result.attrs.get("history", "")).split("\n")
    dropped = [
        line for line in lines if "dropped" in line and not re.search(r"\bdropped 0\b", line)
    ]
    if dropped:
        return Finding("look", "; ".join(dict.fromkeys(dropped)))
    if not any(lines):
        return _miss(result, "the result has no history")
    return Finding("good", "its history names none that were dropped")


def _check_scores(result: Result) -> Finding | None:
    if not isinstance(result, xr.Dataset) or "score" not in result:
        return None
    score = result["score"]
    if "neuroid" not in score.dims or score.dtype.kind != "f":
        return None
    others = tuple(number for number, dim in enumerate(score.dims) if dim != "neuroid")
    n = result.sizes["neuroid"]
    missing = int(np.isnan(average(score.values, others)).sum())
    state: State = "good" if not missing else "look" if missing < n else "bad"
    return Finding(state, f"{n - missing} of {_count(n, 'neuroid')} have a finite score")


def _check_ceiling(result: Result) -> Finding | None:
    if result.attrs.get("kind") != "encoding":
        return None
    if "ceiling" not in result:
        return Finding("look", "none: scores cannot be held against what is predictable")
    values = np.asarray(result["ceiling"].values, dtype=np.float64)
    n = int(np.isfinite(values).sum())
    state: State = "good" if n == values.size else "look"
    return Finding(state, f"known for {n} of {values.size}")


def _check_null(result: Result) -> Finding | None:
    n = _number(_get(result, "n_permutations"))
    if n is None:
        return None
    if n == 0:
        return Finding("look", "no permutations: scores stand without their null")
    floor = find_floor(result)
    if floor is not None:
        return Finding("look", f"{floor}; take {floor.needed:,}")
    least = find_least_p(result) or 1 / (1 + n)
    return Finding("good" if least < 0.05 else "look", f"least p that can be reached {least:.2g}")


def _check_seed(result: Result) -> Finding | None:
    seed = _get(result, "seed")
    if seed is None:
        return Finding("unknown", "the result does not say it")
    return Finding("good", f"seed {seed}")


def _check_inputs(result: Result) -> Finding | None:
    inputs = read_provenance(result).get("inputs")
    if isinstance(inputs, dict) and inputs:
        return Finding("good", f"hashes of {_count(len(inputs), 'input')}")
    return _miss(result, "no hashes of inputs in the result")


def _check_threads(result: Result) -> Finding | None:
    found = read_provenance(result)
    for key in ("threads", "blas_threads"):
        if key in found:
            return Finding("good", f"{found[key]}")
    return Finding("unknown", "the result does not say how many there were")


def _check_commit(result: Result) -> Finding | None:
    found = read_provenance(result).get("git")
    if not found:
        return Finding("unknown", "the result names no commit")
    dirty = isinstance(found, dict) and bool(found.get("dirty"))
    text = str(found.get("commit", found)) if isinstance(found, dict) else str(found)
    return Finding("look" if dirty else "good", text + (" with changes" if dirty else ""))


CHECKS: dict[str, Callable[[Result], Finding | None]] = {
    "Labels matched": _check_labels,
    "Samples kept": _check_dropped,
    "Finite scores": _check_scores,
    "Noise ceiling": _check_ceiling,
    "Null": _check_null,
    "Seed": _check_seed,
    "Inputs hashed": _check_inputs,
    "BLAS threads": _check_threads,
    "Code version": _check_commit,
}

# What no result need carry: the check stands only where some result says it.
OPTIONAL = ("Samples kept", "Inputs hashed", "BLAS threads", "Code version")
# Often computed from other results of the page, which tell of their own inputs and samples.
DERIVED = ("estimate", "layers")


def make_cards(results: Mapping[str, Result]) -> list[Card]:
    """Say what was done, each line once whatever the number of results.

    Parameters
    ----------
    results : mapping of str to Dataset or DataArray

    Returns
    -------
    list of Card
        One for each question that some result answers.
    """
    cards = []
    for title, say in CARDS.items():
        said = {name: list(dict.fromkeys(say(one))) for name, one in results.items()}
        named: dict[str, list[str]] = {}
        for name, lines in said.items():
            for line in lines:
                named.setdefault(line, []).append(name)
        if named:
            cards.append(Card(title, _cut(named, sum(map(bool, said.values())))))
    return cards


def run_checks(results: Mapping[str, Result]) -> list[Check]:
    """Check what results carry; what they do not say is unknown.

    Parameters
    ----------
    results : mapping of str to Dataset or DataArray

    Returns
    -------
    list of Check
        One for each question that applies to some result.
    """
    order = list(SIGNS)
    checks = []
    for title, look in CHECKS.items():
        found = {name: finding for name, one in results.items() if (finding := look(one))}
        if not found:
            continue
        worst = min((finding.state for finding in found.values()), key=order.index)
        if title in OPTIONAL and {finding.state for finding in found.values()} == {"unknown"}:
            continue
        named: dict[str, list[str]] = {}
        for name, finding in found.items():
            if finding.state == worst:
                named.setdefault(finding.text, []).append(name)
        checks.append(Check(title, worst, _cut(named, len(found))))
    return checks


def _cut(named: Mapping[str, list[str]], n_results: int) -> tuple[str, ...]:
    """The first few lines, each with the results that it is about; ``n_results`` say something."""
    lines = [_join(text, names, n_results) for text, names in named.items()]
    more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return (*lines[:MOST_LINES], *more)


def _join(text: str, names: list[str], n_results: int) -> str:
    """Name the results that a line is about, unless it is about all that say something."""
    if len(names) == n_results:
        return text
    shown = ", ".join(names[:MOST_NAMES])
    shown += f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{text} ({shown})"
