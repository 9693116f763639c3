"""Files, arrays and simulations to responses (sample, neuroid[, time]) in the schema.

To add a loader: ``loaders/<format>.py`` with ``load_<format>`` that ends in
``return check_responses(responses)``, and its line in ``__init__.pyi``.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
