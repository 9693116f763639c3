"""Results in, one offline HTML page (or a matplotlib figure, or a table) out.

In: objects of the schema: results of encoding and RSA, comparisons of layers, RDMs, or any
other kind.
Out: ``write_html`` gives one self-contained file that needs no network; ``plot_*`` give
matplotlib figures; ``tabulate_*`` give rows; ``show`` gives a notebook a small table.
To add a kind: a function that returns blocks and its row in ``screens.SCREENS``, and a sentence
with its row in ``verdicts.VERDICTS``.
"""

import lazy_loader as _lazy

from neuroalign.errors import require as _require

_resolve, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Resolve a public name, once the libraries of the extra are known to be there."""
    for library in ("jinja2", "matplotlib"):
        _require(library, "report")
    return _resolve(name)
