"""The studies behind ``neuroalign encode``, ``rsa``, ``compare`` and ``latents``.

In: files of ours and a few choices. Out: the content of a ``study.yaml`` that a person can read,
edit and run again. What a choice leaves open is settled here by the coords of the files, and stands
in the study as if it had been written by hand.
"""

import inspect
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import xarray as xr

from neuroalign import latents, rsa, storage
from neuroalign.errors import SchemaError, choose, some
from neuroalign.study._inputs import (
    Content,
    check_stored,
    count_labels,
    count_runs,
    is_study,
    list_encodings,
    load_entry,
    name_files,
    read_input,
)

# How a model says how many dimensions or states it has.
SIZES = ("n_latents", "n_states")
SEEDS = ("seed", "random_state")
# Where a distance needs the noise and nothing is said of it.
NOISE = "schaefer_strimmer"


def choose_group(responses: xr.DataArray) -> str | None:
    """Whole runs where no stimulus comes back in another run; else folds over stimuli (None)."""
    runs = count_runs(responses)
    timed = not count_labels(responses, "stimulus")
    return "run" if count_labels(responses, "run") > 1 and (timed or max(runs) == 1) else None


def study_encoding(
    folder: Path,
    features: Path,
    responses: Path,
    *,
    encoder: str = "Ridge",
    group: str = "auto",
    metric: str = "pearson",
    permutations: int = 0,
    ceiling: str = "split_half",
    average_repeats: bool = False,
    keep_predictions: bool = False,
    seed: int = 0,
) -> Content:
    """Predict responses from features, rows matched by label.

    Parameters
    ----------
    folder : Path
        Where the study is to lie.
    features, responses : Path
    encoder : str
        A class of `neuroalign.encoders`.
    group : str
        A coord whose groups are never divided, ``"none"`` for folds over stimuli, ``"auto"`` for
        `choose_group`.
    metric, ceiling : str
        See `neuroalign.evaluate.cross_validate`; ``ceiling="none"`` for none.
    permutations : int
    average_repeats, keep_predictions : bool
    seed : int

    Returns
    -------
    dict
    """
    read_input(features, "FEATURES", ("feature",))
    brain = read_input(responses, "RESPONSES", ("neuroid",))
    known = choose_group(brain) if group == "auto" else (None if group == "none" else group)
    timed = not count_labels(brain, "stimulus")
    data: Content = {"responses": load_entry(responses, folder)}
    on: Content = {"on": ["run", "onset"]} if timed else {}
    bound: Any = None if ceiling == "none" else ceiling
    encoding: Content = {}
    if average_repeats:
        data["averaged"] = {"call": "align.average_repeats", "with": {"responses": "@responses"}}
        if bound is not None:
            # The ceiling of averages is known from the single presentations alone.
            call = {"call": f"ceilings.{bound}", "with": {"responses": "@responses"}}
            encoding["ceiling"] = call | {"report": False}
            bound = "@ceiling.ceiling"
    matched = {
        "features": "@features",
        "responses": f"@{'averaged' if average_repeats else 'responses'}",
    }
    encoding["encoding"] = {
        "call": "evaluate.cross_validate",
        "with": {
            "encoder": {"use": f"encoders.{encoder}"},
            "features": "@matched.features",
            "responses": "@matched.responses",
            "group": known,
            **on,
            "metric": metric,
            "ceiling": bound,
            "n_permutations": permutations,
            **({"keep": ["prediction"]} if keep_predictions else {}),
        },
    }
    return {
        "title": f"{encoder}: {features.stem} to {responses.stem}",
        "seed": seed,
        "out": ".",
        "data": data,
        "features": {
            "features": load_entry(features, folder),
            "matched": {"call": "align.match", "with": matched | on},
        },
        "encoding": encoding,
    }


def choose_distance(responses: xr.DataArray, fold: str) -> str:
    """Crossnobis where every condition is in two folds or more; else correlation distance."""
    folds = count_runs(responses, fold)
    return "crossnobis" if folds and min(folds) > 1 else "correlation"


# Distances on one scale with those of responses, so that a model can be proportional to them.
SQUARED = ("squared_euclidean", "mahalanobis", "crossnobis", "linear_discriminant_contrast")


def choose_model_distance(distance: str) -> str:
    """The distance of models that belongs to one of responses."""
    if distance in SQUARED:
        return "squared_euclidean"
    row = rsa.DISTANCES.get(distance)
    plain = row is not None and not (row.folds or row.counts or row.noise == "required")
    return distance if plain else "correlation"


def study_rsa(
    folder: Path,
    responses: Path,
    models: Sequence[Path],
    *,
    distance: str = "auto",
    fold: str = "run",
    model_distance: str = "auto",
    method: str = "auto",
    permutations: int = 1000,
    seed: int = 0,
) -> Content:
    """Compare the geometry of responses with those of models.

    Parameters
    ----------
    folder : Path
        Where the study is to lie.
    responses : Path
        Responses, or RDMs of them.
    models : sequence of Path
        Features, responses of others, or RDMs.
    distance, model_distance : str
        See `neuroalign.rsa.compute_rdm`; ``"auto"`` for `choose_distance`, and for models
        `choose_model_distance`.
    fold : str
        Coord of independent data, for cross-validated distances.
    method : str
        See `neuroalign.rsa.infer`; ``"auto"`` for the whitened cosine of cross-validated distances,
        whose zero has a meaning, and rank correlation of others.
    permutations : int
        Of condition labels: they say whether a model is related to the responses at all.
    seed : int

    Returns
    -------
    dict
    """
    brain = read_input(responses, "RESPONSES", ("neuroid", "pair", "first"))
    subjects = brain.sizes.get("subject", 0) or count_labels(brain, "subject")
    entries: Content = {}
    data: Content = {"responses": load_entry(responses, folder)}
    crossed = float(brain.min()) < 0 if "neuroid" not in brain.dims else False
    rdm, kind = "@responses", str(brain.attrs.get("distance", ""))
    if "neuroid" in brain.dims:
        kind = choose_distance(brain, fold) if distance == "auto" else distance
        row = choose(rsa.DISTANCES, kind, "distance")
        crossed = row.folds
        options: Content = {"responses": "@responses", "distance": kind}
        options |= {"fold": fold} if crossed else {}
        options |= {"noise": NOISE} if row.noise == "required" else {}
        options |= {"over": "subject"} if subjects > 1 else {}
        entries["rdm"] = {"call": "rsa.compute_rdm", "with": options}
        rdm = "@rdm"
    references = {}
    taken = ("responses", "rdm", "models")
    for path, name in zip(models, name_files(models, taken), strict=True):
        model = read_input(path, "MODEL", ("feature", "neuroid", "pair", "first"))
        data[name] = load_entry(path, folder)
        references[name] = f"@{name}"
        if {"feature", "neuroid"} & set(model.dims):
            chosen = choose_model_distance(kind) if model_distance == "auto" else model_distance
            call = {"responses": f"@{name}", "distance": chosen}
            entries[f"{name}-rdm"] = {"call": "rsa.compute_rdm", "with": call}
            references[name] = f"@{name}-rdm"
    entries["models"] = {
        "call": "rsa.infer",
        "with": {
            "models": references,
            "data": rdm if subjects > 1 else {"responses": rdm},
            "method": method if method != "auto" else ("whitened_cosine" if crossed else "rho_a"),
            "bootstrap": "both" if subjects > 1 else "stimuli",
            "n_permutations": permutations,
        },
    }
    return {
        "title": f"RSA of {responses.stem}",
        "seed": seed,
        "out": ".",
        "data": data,
        "rsa": entries,
    }


def study_comparison(
    folder: Path,
    files: Sequence[Path],
    *,
    measure: str = "cka_debiased",
    over: str = "neuroid",
    responses: Path | None = None,
    permutations: int = 0,
    seed: int = 0,
) -> Content:
    """Compare representations of the same stimuli, or encoding results, in all pairs.

    Parameters
    ----------
    folder : Path
        Where the study is to lie.
    files : sequence of Path
        Features or responses; or encoding results, also as folders of studies.
    measure : str
        See `neuroalign.similarity.compare`.
    over : str
        See `neuroalign.evaluate.compare_models`; ``"stimulus"`` needs the responses.
    responses : Path, optional
    permutations, seed : int

    Returns
    -------
    dict
    """
    named = [
        one
        for path in files
        for one in (list_encodings(path) if is_study(path) else [(path.stem, path)])
    ]
    if len(named) < 2:
        raise SchemaError(
            f"FILES: expected two or more to compare, got {some(name for name, _ in named)}. "
            "Name another."
        )
    for _, path in named:
        check_stored(path, "FILES")
    kinds = {str(storage.load(path, verify=False).attrs.get("kind")) for _, path in named}
    if "encoding" in kinds and len(kinds) > 1:
        raise SchemaError(
            f"FILES: expected encoding results, or representations, got {some(sorted(kinds))}. "
            "Compare one sort with its like."
        )
    taken = ["table", *(["responses"] if responses else [])]
    names = name_files([Path(name.replace(".", "-")) for name, _ in named], taken)
    loads = {name: load_entry(path, folder) for name, (_, path) in zip(names, named, strict=True)}
    content: Content = {"title": f"Comparison of {', '.join(names)}", "seed": seed, "out": "."}
    if "encoding" not in kinds:
        options = {"a": {name: f"@{name}" for name in names}, "method": measure}
        table = {"call": "similarity.compare", "with": options | {"n_permutations": permutations}}
        return content | {"data": loads, "similarity": {"table": table}}
    brain = {} if responses is None else {"responses": load_entry(responses, folder)}
    given: Content = {"over": over} | {key: f"@{key}" for key in brain}
    given |= {"n_permutations": permutations} if permutations else {}
    pairs = [
        {
            "call": "evaluate.compare_models",
            "with": {"result_a": f"@{a}", "result_b": f"@{b}"} | given,
        }
        for a, b in combinations(names, 2)
    ]
    titles = [Path(f"{a}-vs-{b}") for a, b in combinations(names, 2)]
    statistics = dict(zip(name_files(titles, [*names, "responses"]), pairs, strict=True))
    return content | {"data": loads | brain, "statistics": statistics}


def study_latents(
    folder: Path,
    responses: Path,
    *,
    model: str = "FactorAnalysis",
    n_latents: int = 5,
    seed: int = 0,
) -> Content:
    """Fit a latent model, keep its latents, and score it on held-out data.

    Parameters
    ----------
    folder : Path
        Where the study is to lie.
    responses : Path
    model : str
        A `neuroalign.latents.LatentModel`.
    n_latents : int
        Latents, or states.
    seed : int

    Returns
    -------
    dict
    """
    read_input(responses, "RESPONSES", ("neuroid",))
    taken = inspect.signature(getattr(latents, model)).parameters
    made: Content = {"use": f"latents.{model}"}
    made |= {name: n_latents for name in SIZES if name in taken}
    made |= {name: seed for name in SEEDS if name in taken}
    return {
        "title": f"{model} of {responses.stem}",
        "seed": seed,
        "out": ".",
        "data": {"responses": load_entry(responses, folder)},
        "latents": {
            "score": {"call": "latents.score_latents", "with": {"model": made, "X": "@responses"}},
            "latents": {
                "call": "study.fit_latents",
                "with": {"model": dict(made), "responses": "@responses"},
            },
        },
    }


def list_latent_models() -> list[str]:
    """Names of the models that `neuroalign.latents.score_latents` takes."""
    return [name for name in latents.__all__ if hasattr(getattr(latents, name), "predict_rates")]


def list_distances() -> list[str]:
    """Names of distances, and "auto"."""
    return ["auto", *rsa.DISTANCES]
