from . import align as align
from . import ceilings as ceilings
from . import convergence as convergence
from . import decoders as decoders
from . import encoders as encoders
from . import errors as errors
from . import evaluate as evaluate
from . import features as features
from . import geometry as geometry
from . import latents as latents
from . import loaders as loaders
from . import models as models
from . import report as report
from . import rsa as rsa
from . import schema as schema
from . import scores as scores
from . import similarity as similarity
from . import stats as stats
from . import storage as storage
from . import study as study
from . import topology as topology

__version__: str
__all__ = [
    "align",
    "ceilings",
    "convergence",
    "decoders",
    "encoders",
    "errors",
    "evaluate",
    "features",
    "geometry",
    "latents",
    "loaders",
    "models",
    "report",
    "rsa",
    "schema",
    "scores",
    "similarity",
    "stats",
    "storage",
    "study",
    "topology",
]
