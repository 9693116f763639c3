"""Trained maps from spatial tokens to responses: readouts that know where things are.

In: tokens (sample, token, feature) with coords ``row`` and ``column`` on token, and responses
(sample, neuroid[, time]), NaN where a stimulus was not seen. Images are tokens too: one for each
pixel, its colours the features. Out: an estimator that stands beside ``Ridge`` in
``evaluate.cross_validate`` and carries the score of a ridge regression on the same tokens.
To add one: a module with a subclass of ``TokenReadout`` that writes ``_build``, and its line in
``__init__.pyi``; the contract tests run over ``__all__``.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
