"""Bring features and responses together. In: two labelled arrays. Out: one matched Dataset.

To add a way of aligning: a module with its function, and its line in ``__init__.pyi``.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
