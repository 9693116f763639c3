"""Representational similarity: distances between conditions, and how alike two geometries are.

In: responses or features (sample, ...) whose rows are named by condition. Out: RDMs, DataArrays
(..., first, second) or (..., pair), their similarities, and tests of models against data.
To add a distance: a kernel of patterns (stack, condition, channel) in ``_kernels`` or of cells in
``_crossvalidated``, and its row in ``distances.DISTANCES``. To add a comparison: a kernel of
(a, pair) and (b, pair), and its row in ``comparisons.COMPARISONS``.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
