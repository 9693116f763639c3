from . import align as align
from . import ceilings as ceilings
from . import encoders as encoders
from . import evaluate as evaluate
from . import features as features
from . import loaders as loaders
from . import models as models
from . import report as report
from . import schema as schema
from . import scores as scores
from . import stats as stats
from . import storage as storage

__version__: str
__all__ = [
    "align",
    "ceilings",
    "encoders",
    "evaluate",
    "features",
    "loaders",
    "models",
    "report",
    "schema",
    "scores",
    "stats",
    "storage",
]
