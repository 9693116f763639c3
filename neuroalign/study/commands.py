"""``neuroalign encode``, ``rsa``, ``compare``, ``latents``: one analysis without writing YAML.

Each writes its study into ``--out`` as ``study.yaml`` and runs it there, so that its results are
kept, checked, resumed and reported like those of any study. Rooms are imported inside the commands,
so that ``--help`` answers at once. To add one: a builder in ``analyses``, a command here, and its
row in ``COMMANDS``.
"""

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from neuroalign.study.terminal import run_and_tell

Out = Annotated[Path, typer.Option(help="Folder of the study and its results.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]
Update = Annotated[bool, typer.Option("--update", help="Replace another study in the folder.")]
Seed = Annotated[int, typer.Option(min=0, help="Of folds, permutations and models.")]
Permutations = Annotated[int, typer.Option(min=0, help="For p values; 0 skips them.")]


def _pick(name: str, known: Iterable[str], option: str) -> str:
    """A name of a table, or wrong usage with what is near."""
    names = [*known]
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise typer.BadParameter(
        f"expected one of {', '.join(names)}, got {name!r}.{hint}", param_hint=f"'{option}'"
    )


def _run(
    build: Callable[[Path], dict[str, Any]],
    out: Path,
    dry_run: bool,
    update: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from neuroalign.study.config import make_study  # noqa: PLC0415
    from neuroalign.study.writing import FILE, write_study  # noqa: PLC0415

    folder = out.resolve()
    if dry_run:
        # Paths are told from a folder, and this one may not be there yet.
        base = folder if folder.is_dir() else Path.cwd()
        study = make_study(build(base), base / FILE)
    else:
        study = write_study(build(folder), folder, update=update)
    run_and_tell(study, out, dry_run=dry_run, update=update, as_json=as_json, quiet=quiet)


def encode(
    features: Annotated[Path, typer.Argument(help="Features (sample, feature), .nc or .zarr.")],
    responses: Annotated[Path, typer.Argument(help="Responses (sample, neuroid[, time]).")],
    encoder: Annotated[str, typer.Option(help="A class of neuroalign.encoders.")] = "Ridge",
    group: Annotated[
        str,
        typer.Option(
            help="Coord whose groups are never divided; 'none' for folds over stimuli. 'auto': "
            "runs, where no stimulus comes back in another run."
        ),
    ] = "auto",
    metric: Annotated[str, typer.Option(help="pearson, r2, spearman ...")] = "pearson",
    permutations: Permutations = 0,
    ceiling: Annotated[str, typer.Option(help="split_half, ncsnr ..., or none.")] = "split_half",
    average_repeats: Annotated[
        bool, typer.Option("--average-repeats", help="Average the repeats of a stimulus first.")
    ] = False,
    keep_predictions: Annotated[
        bool, typer.Option("--keep-predictions", help="For 'compare --over stimulus'.")
    ] = False,
    seed: Seed = 0,
    out: Out = Path("neuroalign-encode"),
    dry_run: DryRun = False,
    update: Update = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict responses from features, cross-validated; rows are matched by label.

    Example: neuroalign encode layer4.zarr v1.nc --permutations 1000 --out v1
    """
    from neuroalign import ceilings, encoders, scores  # noqa: PLC0415
    from neuroalign.study.analyses import study_encoding  # noqa: PLC0415

    fitted = [name for name in encoders.__all__ if hasattr(getattr(encoders, name), "predict")]
    _pick(encoder, fitted, "--encoder")
    _pick(metric, scores.METRICS, "--metric")
    _pick(ceiling, [*ceilings.CEILINGS, "none"], "--ceiling")

    def build(folder: Path) -> dict[str, Any]:
        return study_encoding(
            folder, features, responses, encoder=encoder, group=group, metric=metric,
            permutations=permutations, ceiling=ceiling, average_repeats=average_repeats,
            keep_predictions=keep_predictions, seed=seed,
        )  # fmt: skip

    _run(build, out, dry_run, update, as_json, quiet)


def rsa(
    responses: Annotated[Path, typer.Argument(help="Responses, or RDMs of them.")],
    models: Annotated[list[Path], typer.Argument(help="Features, responses or RDMs.")],
    distance: Annotated[
        str,
        typer.Option(
            help="Of the responses. 'auto': crossnobis where each condition is in two folds, else "
            "correlation."
        ),
    ] = "auto",
    fold: Annotated[str, typer.Option(help="Coord of independent data.")] = "run",
    model_distance: Annotated[
        str,
        typer.Option(
            help="Of models that are no RDMs. 'auto': squared_euclidean beside crossnobis, else "
            "that of the responses."
        ),
    ] = "auto",
    method: Annotated[
        str,
        typer.Option(
            help="How RDMs are compared. 'auto': whitened_cosine for cross-validated distances, "
            "else rho_a."
        ),
    ] = "auto",
    permutations: Permutations = 1000,
    seed: Seed = 0,
    out: Out = Path("neuroalign-rsa"),
    dry_run: DryRun = False,
    update: Update = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare the geometry of responses with those of models: RDMs, tests, noise ceiling.

    Example: neuroalign rsa v1.nc layer2.zarr layer4.zarr --out geometry
    """
    from neuroalign import rsa as room  # noqa: PLC0415
    from neuroalign.study.analyses import study_rsa  # noqa: PLC0415

    _pick(distance, ["auto", *room.DISTANCES], "--distance")
    _pick(model_distance, ["auto", *room.DISTANCES], "--model-distance")
    _pick(method, ["auto", *room.COMPARISONS], "--method")

    def build(folder: Path) -> dict[str, Any]:
        return study_rsa(
            folder, responses, models, distance=distance, fold=fold,
            model_distance=model_distance, method=method, permutations=permutations, seed=seed,
        )  # fmt: skip

    _run(build, out, dry_run, update, as_json, quiet)


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(help="Features or responses; or encoding results, or folders with one."),
    ],
    measure: Annotated[str, typer.Option(help="Of representations.")] = "cka_debiased",
    over: Annotated[
        str, typer.Option(help="Of encoding results: stimulus, subject, neuroid or fold.")
    ] = "neuroid",
    responses: Annotated[
        Path | None, typer.Option(help="What was encoded, for '--over stimulus'.")
    ] = None,
    permutations: Permutations = 0,
    seed: Seed = 0,
    out: Out = Path("neuroalign-compare"),
    dry_run: DryRun = False,
    update: Update = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare representations of the same stimuli, or encoding results, in all pairs.

    Example: neuroalign compare layer2.zarr layer4.zarr v1.nc --measure cka_debiased --out alike
    """
    from neuroalign import similarity  # noqa: PLC0415
    from neuroalign.study.analyses import study_comparison  # noqa: PLC0415

    _pick(measure, similarity.SIMILARITIES, "--measure")
    _pick(over, ("stimulus", "subject", "neuroid", "fold"), "--over")

    def build(folder: Path) -> dict[str, Any]:
        return study_comparison(
            folder, files, measure=measure, over=over, responses=responses,
            permutations=permutations, seed=seed,
        )  # fmt: skip

    _run(build, out, dry_run, update, as_json, quiet)


def latents(
    responses: Annotated[Path, typer.Argument(help="Responses (sample, neuroid[, time]).")],
    model: Annotated[
        str, typer.Option(help="A model of neuroalign.latents: GPFA, HMM ...")
    ] = "FactorAnalysis",
    n_latents: Annotated[int, typer.Option(min=1, help="Latents, or states.")] = 5,
    seed: Seed = 0,
    out: Out = Path("neuroalign-latents"),
    dry_run: DryRun = False,
    update: Update = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit a latent model to a population, and score it on held-out data.

    Example: neuroalign latents spikes.nc --model PoissonGPFA --n-latents 3 --out m1
    """
    from neuroalign.study.analyses import list_latent_models, study_latents  # noqa: PLC0415

    _pick(model, list_latent_models(), "--model")

    def build(folder: Path) -> dict[str, Any]:
        return study_latents(folder, responses, model=model, n_latents=n_latents, seed=seed)

    _run(build, out, dry_run, update, as_json, quiet)


COMMANDS: tuple[Callable[..., None], ...] = (encode, rsa, compare, latents)
