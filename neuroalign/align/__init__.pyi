from .matching import match as match
from .repeats import average_repeats as average_repeats
from .repeats import split_repeats as split_repeats

__all__ = ["average_repeats", "match", "split_repeats"]
