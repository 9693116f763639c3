"""What the stimuli contain, as a model sees them.

In: stimuli as ``{id: path or array}`` or a DataArray with ``stimulus``. Out: features (sample,
feature) or (sample, token, feature), one DataArray for each layer or filter bank; and transformers
that make features smaller inside a pipeline.
To add one: a module with a function that takes stimuli (read them through ``_stimuli``) and gives
what ``schema.check_features`` accepts, or a scikit-learn transformer that takes and gives
DataArrays; then its line in ``__init__.pyi`` and its test in ``tests/features``.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
