"""Divisions of conditions in two equal halves, and which condition is compared with which."""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from neuroalign.errors import some

Array = npt.NDArray[Any]
Factors = Mapping[str, Collection[str]]
Pairs = Sequence[tuple[str, str]]
# Up to so many are all listed before some are drawn.
MOST_LISTED = 100_000


def list_dichotomies(
    n_conditions: int, *, at_most: int | None = None, seed: int = 0
) -> npt.NDArray[np.bool_]:
    """List the divisions of conditions in two equal halves, each once.

    Parameters
    ----------
    n_conditions : int
        Even, from 4: n! / (2 (n/2)!^2) divisions, 3 for 4 conditions, 35 for 8, 126 for 10.
    at_most : int, optional
        Draw so many at random, without repetition, where there are more.
    seed : int

    Returns
    -------
    array of bool (dichotomy, condition)
        True on one side; the last condition always lies on the other.

    Raises
    ------
    ValueError
        When the number is odd or below 4, or there are too many to list.

    Examples
    --------
    >>> list_dichotomies(4).astype(int).tolist()
    [[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0]]
    """
    if n_conditions < 4 or n_conditions % 2:
        raise ValueError(
            f"n_conditions: expected an even number from 4, got {n_conditions}. Leave conditions "
            "out, or join some."
        )
    if at_most is not None and at_most < 1:
        raise ValueError(f"at_most: expected 1 or more, got {at_most}. None lists all.")
    half, total = n_conditions // 2, comb(n_conditions - 1, n_conditions // 2)
    if at_most is None and total > MOST_LISTED:
        raise ValueError(
            f"at_most: expected a number, as {n_conditions} conditions have {total} dichotomies, "
            "got None. 200 is usual."
        )
    rng = np.random.default_rng(seed)
    if total <= MOST_LISTED:
        sides = list(combinations(range(n_conditions - 1), half))
        if at_most is not None and at_most < total:
            sides = [sides[i] for i in np.sort(rng.permutation(total)[:at_most])]
    else:
        seen: set[tuple[int, ...]] = set()
        while len(seen) < min(at_most or 0, total):
            seen.add(tuple(sorted(rng.permutation(n_conditions - 1)[:half].tolist())))
        sides = sorted(seen)
    positive = np.zeros((len(sides), n_conditions), dtype=bool)
    for row, side in zip(positive, sides, strict=True):
        row[list(side)] = True
    return positive


def pair_by_factors(
    conditions: Sequence[str], factors: Factors
) -> dict[str, list[tuple[str, str]]]:
    """Pair each condition of a factor's side with the one that differs in that factor alone.

    Parameters
    ----------
    conditions : sequence of str
    factors : mapping of str to collection of str
        Name -> the conditions on its positive side.

    Returns
    -------
    dict of str to list of (positive, negative)
        Factors whose conditions have no such partners are left out.

    Raises
    ------
    ValueError
        When a factor names unknown conditions, or does not halve them.

    Examples
    --------
    >>> factors = {"animate": ["cat", "man"], "large": ["man", "house"]}
    >>> pair_by_factors(["cat", "man", "cup", "house"], factors)["animate"]
    [('cat', 'cup'), ('man', 'house')]
    """
    sides = read_factors(conditions, factors)
    codes = np.array(list(sides.values())).T
    found = {}
    for number, name in enumerate(sides):
        others = [tuple(row) for row in np.delete(codes, number, axis=1).tolist()]
        positive = np.flatnonzero(codes[:, number])
        partners = {others[i]: i for i in np.flatnonzero(~codes[:, number])}
        unique = len(partners) == len({others[i] for i in positive}) == len(positive)
        if unique and all(others[i] in partners for i in positive):
            found[name] = [
                (conditions[int(i)], conditions[int(partners[others[i]])]) for i in positive
            ]
    return found


def read_factors(conditions: Sequence[str], factors: Factors) -> dict[str, npt.NDArray[np.bool_]]:
    """Turn named sides into masks (condition,).

    Raises
    ------
    ValueError
    """
    sides = {}
    for name, members in factors.items():
        if isinstance(members, str):
            raise ValueError(
                f"factors['{name}']: expected a list of conditions, got '{members}'. Use brackets."
            )
        unknown = sorted(set(members) - set(conditions))
        if unknown:
            raise ValueError(
                f"factors['{name}']: expected conditions of {some(conditions)}, got "
                f"{some(unknown)}. Correct the names."
            )
        mask = np.isin(np.asarray(conditions), list(members))
        if 2 * mask.sum() != len(conditions) or len(conditions) < 4:
            raise ValueError(
                f"factors['{name}']: expected half of 4 conditions or more, got {mask.sum()} of "
                f"{len(conditions)}. Select conditions that it divides equally."
            )
        sides[name] = mask
    return sides
