"""How models converge on brains: layers and checkpoints against cortex and time.

In: features of layers (or networks and stimuli) and responses; results of `encode_layers`. Out:
scores of encoding, space and time, courses over training, each with its interval and its null. To
add a score: a module of its idea that takes what `encode_layers` returns. For dynamic scenes:
courses of predictors, of other animals, of motion and of behaviour against single trials.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
