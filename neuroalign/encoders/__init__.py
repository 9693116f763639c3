"""Maps from stimulus features to responses.

In: features (sample, feature) and responses (sample, neuroid[, time]), DataArrays or plain arrays
whose rows already correspond. Out: a fitted estimator that predicts responses to new features.
To add one: a module with a scikit-learn estimator (``fit``, ``predict``) and its line in
``__init__.pyi``; the contract tests run over ``__all__``.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
