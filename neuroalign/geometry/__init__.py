"""What geometry representations have: spectra, dimensions, conditions, features, depth, learning.

In: arrays or DataArrays (sample, unit) of brains or of models, by the same functions. Out: numbers
and Datasets with their uncertainty. To add a measure: a function in the module of its idea.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
