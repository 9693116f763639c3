"""Judge an encoder on stimuli it never saw: scores with their ceiling, their null, their source.

In: an encoder (or a scikit-learn pipeline that ends in one), features (sample, feature) and
responses (sample, neuroid[, time]) with the same labels row by row. Out: a Dataset of kind
``encoding``, which ``report`` reads. To add a score: a row in ``scores.METRICS``; a ceiling: a row
in ``ceilings.CEILINGS``; a null: a row in ``stats.permutations.SCHEMES``. ``select_features``
chooses a layer where it is not scored; ``normalize_scores``, ``bootstrap_scores``,
``compare_models`` and ``summarise`` read results.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
