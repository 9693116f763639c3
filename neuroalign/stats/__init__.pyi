from .multiple import fdr as fdr

__all__ = ["fdr"]
