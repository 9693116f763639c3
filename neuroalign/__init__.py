"""Neural data and brain-model alignment: load, align, features, fit, score, compare, report.

Every room is imported when first used; ``import neuroalign`` itself loads no numerical library.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
