"""Nulls and many tests. In: arrays of statistics. Out: p and q values, intervals, clusters.

To add one: a module with its function, and its line in ``__init__.pyi``.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
