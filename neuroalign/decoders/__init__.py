"""The way back: from responses to what was shown, heard or thought.

In: responses (sample, neuroid[, time]), and features or labels of the same samples. Out: fitted
decoders with forward-model patterns beside their weights, or a result Dataset with its chance
level, its null and its uncertainty. To add a decoder of features: a module with a scikit-learn
estimator and its line in ``__init__.pyi``, where the contract tests find it. To add a classifier:
its row in ``CLASSIFIERS``; a batched form of it, in ``_batched``, makes searchlights fast.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
