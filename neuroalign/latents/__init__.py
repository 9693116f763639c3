"""Low-dimensional structure of populations: one API, and scores that cannot flatter.

In: counts or signals (sample, neuroid[, time]), ragged trials with ``valid``. Out: fitted models
that give latents, rates and likelihoods, and score reports with their null and their oracle.
To add a model: one file with a `LatentModel`, and its name in the stub beside this file: the
contract tests find it there.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
