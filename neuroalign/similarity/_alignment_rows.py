"""Rows of the table of measures that move, match or predict units; see ``comparison``."""

import numpy as np

from neuroalign.similarity._measures import Measure
from neuroalign.similarity.correlations import (
    pair_cca,
    pair_held_out,
    pair_squared_cca,
    pair_weighted,
    prepare_cca,
    prepare_held_out,
    prepare_svcca,
    prepare_weighted,
)
from neuroalign.similarity.matching_units import (
    pair_one_to_one,
    pair_semi,
    pair_soft,
    prepare_matching,
)
from neuroalign.similarity.predictivity import (
    pair_forward,
    pair_symmetric,
    prepare_predictivity,
)
from neuroalign.similarity.procrustes import (
    pair_angle,
    pair_permuted,
    pair_shape,
    prepare_permuted,
    prepare_shape,
)

CORRELATION = (-1.0, 1.0)

ALIGNMENTS: dict[str, Measure] = {
    "cca": Measure(
        prepare_cca, pair_cca, "mean canonical correlation, 1 when units outnumber stimuli"
    ),
    "cca_squared": Measure(
        prepare_cca, pair_squared_cca, "mean squared canonical correlation, same bias as cca"
    ),
    "svcca": Measure(
        prepare_svcca, pair_cca, "mean canonical correlation of the main principal axes"
    ),
    "pwcca": Measure(
        prepare_weighted,
        pair_weighted,
        "canonical correlations weighted by what they account for in the first representation",
        symmetric=False,
    ),
    "cca_held_out": Measure(
        prepare_held_out,
        pair_held_out,
        "mean canonical correlation on held-out stimuli",
        bounds=CORRELATION,
    ),
    "procrustes": Measure(
        prepare_shape,
        pair_shape,
        "cosine after the best rotation: normalised Bures similarity",
    ),
    "procrustes_angle": Measure(
        prepare_shape,
        pair_angle,
        "angle in radians after the best rotation, a metric",
        bounds=(0.0, np.pi / 2),
        distance=True,
    ),
    "permutation_angle": Measure(
        prepare_permuted,
        pair_permuted,
        "angle in radians after the best one-to-one matching of units, a metric",
        bounds=(0.0, np.pi),
        distance=True,
    ),
    "one_to_one_matching": Measure(
        prepare_matching,
        pair_one_to_one,
        "held-out correlation of units paired one to one",
        bounds=CORRELATION,
    ),
    "soft_matching": Measure(
        prepare_matching,
        pair_soft,
        "held-out correlation of units matched by optimal transport",
        bounds=CORRELATION,
    ),
    "semi_matching": Measure(
        prepare_matching,
        pair_semi,
        "held-out correlation of each first unit with its best second unit",
        bounds=CORRELATION,
        symmetric=False,
    ),
    "linear_predictivity": Measure(
        prepare_predictivity,
        pair_forward,
        "held-out r of the units of the second, predicted from the first by ridge",
        bounds=CORRELATION,
        symmetric=False,
    ),
    "symmetric_predictivity": Measure(
        prepare_predictivity,
        pair_symmetric,
        "geometric mean of linear predictivity both ways",
    ),
}
