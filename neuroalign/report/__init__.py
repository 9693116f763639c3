"""Results to one HTML file that is safe offline.

In: Datasets of a known ``kind``. Out: a page, or a figure of matplotlib.
To add a screen: a function of the Dataset that returns sections, and its row in ``screens.SCREENS``.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
