"""What shape representations have: neighbourhoods, loops and holes rather than distances alone.

In: RDMs or points (sample, unit). Out: transformed RDMs, persistence diagrams and their summaries,
tests of either. To add a transform or a summary: a function on bare arrays and its row in the
table of its module.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
