"""How alike two representations are: one number for a pair, one matrix for two sets of them.

In: arrays or DataArrays (sample, unit) whose rows are the same stimuli. Out: a number, or a Dataset
over layers and regions. To add a measure: one file with ``prepare`` (what is computed once a
representation) and ``pair`` (from two of those to a number), and its row in
``comparison.SIMILARITIES``.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
