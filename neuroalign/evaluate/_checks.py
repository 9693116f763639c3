"""What every evaluation asks of its inputs."""

import warnings
from typing import Any

import numpy as np
import xarray as xr
from sklearn.utils import get_tags

from neuroalign import schema
from neuroalign._arrays import is_time_series, names_conditions
from neuroalign._folds import Folds, check_leakage
from neuroalign.errors import AlignError, NeuroalignWarning, SchemaError, some
from neuroalign.evaluate._splits import read_run

# Share of test rows between training rows above which a time series counts as shuffled.
SHUFFLED = 0.5
# Different stimuli of a test fold.
FEWEST = 3
# What a result holds; a coord of the same name would take its place.
RESULTS = (
    "score", "mean_score", "ceiling", "p_value", "q_value", "p_fwer", "alpha", "prediction",
    "weights", "fold",
)  # fmt: skip


def _takes_tokens(encoder: Any, features: xr.DataArray) -> bool:
    """Whether features have spatial tokens, and an encoder says that it reads them."""
    if features.dims != ("sample", "token", "feature"):
        return False
    tags = get_tags(encoder) if hasattr(encoder, "__sklearn_tags__") else None
    return tags is not None and bool(tags.input_tags.three_d_array)


def check_arguments(
    encoder: Any,
    features: xr.DataArray,
    n_splits: int | None,
    n_permutations: int = 0,
    n_repeats: int = 1,
) -> None:
    """Check what kind of thing each argument is."""
    if isinstance(encoder, type) or not (hasattr(encoder, "fit") and hasattr(encoder, "predict")):
        raise ValueError(
            f"encoder: expected an estimator such as Ridge(), got {encoder!r}. Pass an instance."
        )
    counts = (
        ("n_splits", n_splits, 2),
        ("n_permutations", n_permutations, 0),
        ("n_repeats", n_repeats, 1),
    )
    for name, value, least in counts:
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if value is not None and not (whole and value >= least):
            raise ValueError(
                f"{name}: expected a whole number >= {least}, got {value!r}. Correct it."
            )
    if isinstance(features, xr.DataArray) and features.dims[:2] == ("sample", "neuroid"):
        raise SchemaError(
            f"features: expected dims ('sample', 'feature'), got {features.dims}. To decode, make "
            "features of the recording by loaders.features_from_arrays(recording.values, run=..., "
            "onset=...) and responses of the stimulus by loaders.from_arrays(stimulus.values, "
            "run=..., onset=..., modality='behaviour')."
        )
    schema.check_features(features)
    if features.dims != ("sample", "feature") and not _takes_tokens(encoder, features):
        raise SchemaError(
            f"features: expected dims ('sample', 'feature'), got {features.dims}. Average over "
            "the third dim, or extract with pool='flatten' or 'mean'; encoders.readouts take "
            "tokens."
        )


def check_rows(features: xr.DataArray, responses: xr.DataArray, on: str | tuple[str, ...]) -> None:
    """Check that both arrays name the same thing in each row."""
    n, m = features.sizes["sample"], responses.sizes["sample"]
    if n != m:
        raise AlignError(
            f"features: expected {m} samples as in responses, got {n}. "
            "Run neuroalign.align.match(features, responses) first."
        )
    keys = (on,) if isinstance(on, str) else tuple(on)
    if keys == ("stimulus",) and not all("stimulus" in a.coords for a in (features, responses)):
        keys = ("run", "onset")
    for key in keys:
        for name, array in (("features", features), ("responses", responses)):
            if key not in array.coords:
                raise AlignError(
                    f"{name}: expected coord '{key}' to compare rows on, got "
                    f"{some(array.coords)}. Assign it, or name another in on=."
                )
        ours, theirs = features[key].values, responses[key].values
        numbers = ours.dtype.kind in "iuf" and theirs.dtype.kind in "iuf"
        differs = ~np.isclose(ours, theirs) if numbers else ours != theirs
        if differs.any():
            row = int(np.argmax(differs))
            raise AlignError(
                f"features: expected the '{key}' of responses in every row, got '{ours[row]}' "
                f"against '{theirs[row]}' in row {row} ({int(differs.sum())} rows differ). "
                "Run neuroalign.align.match(features, responses) first."
            )


def check_finite(array: xr.DataArray, name: str) -> None:
    """Check that no value is missing; say where the first one is."""
    bad = ~np.isfinite(array.values)
    if bad.any():
        rows = np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))
        raise ValueError(
            f"{name}: expected finite values, got {int(bad.sum())} NaN or infinite in "
            f"{len(rows)} samples (first: row {rows[0]}). Drop or mask those first."
        )


def check_targets(encoder: Any, responses: xr.DataArray, n_permutations: int) -> bool:
    """Check responses; NaN may stand where the encoder fits each neuroid on its own rows.

    Returns
    -------
    bool
        Whether any is missing.

    Raises
    ------
    ValueError
    """
    last = encoder[-1] if hasattr(encoder, "steps") else encoder
    missing = bool(np.isnan(responses.values).any())
    if not missing or getattr(last, "missing", None) != "drop":
        check_finite(responses, "responses")
        return False
    check_finite(responses.fillna(0.0), "responses")
    if n_permutations:
        raise ValueError(
            f"n_permutations: expected 0 where responses hold NaN, whose places cannot change, got "
            f"{n_permutations}. Drop the rows or neuroids with NaN to test."
        )
    return True


def check_overlap(
    features: xr.DataArray, responses: xr.DataArray, folds: Folds, allow_shared_stimuli: bool
) -> None:
    """Check that no fold tests a stimulus it trains on, by whichever array names stimuli."""
    if allow_shared_stimuli:
        return
    for array in (responses, features):
        if "stimulus" in array.coords:
            check_leakage(folds, array["stimulus"].values)
            return


def warn_shuffled(responses: xr.DataArray, folds: Folds) -> list[str]:
    """Say so when folds of a time series take rows from between those they train on."""
    if "onset" not in responses.coords or not is_time_series(responses):
        return []
    order = np.lexsort([responses["onset"].values, read_run(responses)])
    run = np.asarray(read_run(responses))[order]
    between, n_test = 0, 0
    for train, test in folds:
        trained, tested = (np.isin(order, rows) for rows in (train, test))
        inner = trained[:-2] & trained[2:] & (run[:-2] == run[2:])
        between += int((inner & tested[1:-1]).sum())
        n_test += len(test)
    if between <= SHUFFLED * n_test:
        return []
    message = (
        f"folds: expected stretches of a time series, got {between / n_test:.0%} of test rows "
        "between two training rows; slow signals then score high without being predicted. "
        "Use group='run' or 'time', with gap=."
    )
    warnings.warn(message, NeuroalignWarning, stacklevel=3)
    return [message]


def join_history(features: xr.DataArray, responses: xr.DataArray) -> str:
    """List the steps of both inputs, so that the result says how it was made."""
    return "\n".join(
        f"{name}: {line}"
        for name, array in (("responses", responses), ("features", features))
        for line in str(array.attrs.get("history", "")).split("\n")
        if line
    )


def warn_small(responses: xr.DataArray, folds: Folds) -> list[str]:
    """Say so when test folds hold too few different stimuli for a score to mean anything."""
    by_row = "stimulus" not in responses.coords or names_conditions(responses)
    sizes = [
        len(test) if by_row else len(np.unique(responses["stimulus"].values[test]))
        for _, test in folds
    ]
    small = sum(size < FEWEST for size in sizes)
    if not small:
        return []
    message = (
        f"n_splits: expected {FEWEST} different stimuli or more in every test fold, got "
        f"{min(sizes)} in {small} of {len(folds)} folds: a correlation over two is 1 or -1, over "
        "one there is none. Use fewer and larger folds."
    )
    warnings.warn(message, NeuroalignWarning, stacklevel=3)
    return [message]


def drop_clashing(responses: xr.DataArray, *, with_samples: bool) -> tuple[xr.DataArray, list[str]]:
    """Leave out coords that a result would take over from responses under names of its own."""
    clashing = [
        name
        for name in RESULTS
        if name in responses.coords and (with_samples or "sample" not in responses[name].dims)
    ]
    if not clashing:
        return responses, []
    message = (
        f"responses: coords {some(clashing)} are left out, as the result has its own of that "
        "name. Rename them, such as to 'published_ceiling'."
    )
    warnings.warn(message, NeuroalignWarning, stacklevel=3)
    return responses.drop_vars(clashing), [message]
