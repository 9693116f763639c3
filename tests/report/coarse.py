"""A result in time that has too few permutations for its tests."""

import numpy as np
import xarray as xr


def make_coarse(timed: xr.Dataset, n_reached: int = 20) -> xr.Dataset:
    """Of 240 tests some reach the least p of 99 permutations, and none passes by q."""
    p = np.full((40, 6), 0.5)
    p.ravel()[:n_reached] = 0.01
    q = np.where(p < 0.1, 0.01 * p.size / n_reached, 0.55)
    parts = {"p_value": p, "q_value": q, "p_fwer": np.where(p < 0.1, 0.03, 1.0)}
    known = {name: (("neuroid", "time"), values) for name, values in parts.items()}
    return timed.assign(known).assign_attrs(n_permutations=99)
