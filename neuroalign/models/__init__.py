"""Small reference networks, seeded and untrained unless said, and predictors of what comes next.

In: a seed. Out: a ``torch.nn.Module`` with named layers for ``features.extract``. Predictors are
fitted to latents of films, and give latents and states as features.
To add one: a module with one class, and its line in ``__init__.pyi``.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
