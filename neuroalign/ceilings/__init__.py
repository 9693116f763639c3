"""Noise ceilings: how much of the responses any model could explain, from their repeats.

In: responses whose stimuli come more than once. Out: a Dataset over neuroids (and times) with
``ceiling``, which bounds r2; ``ceiling_r``, its root, which bounds r; and a 95 % interval of the
ceiling from resampled stimuli. To add one: a module with a function of responses that ends in
``Repeats.wrap``, its row in ``table.CEILINGS`` and its line in ``__init__.pyi``.

All of them estimate rho, the share of variance that is signal; they differ in what they assume.
``n_averaged`` says how many repeats are averaged in the responses to be bounded: all of them when
None, single presentations when 1 (Spearman-Brown: rho_n = n rho_1 / (1 + (n - 1) rho_1)).
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
