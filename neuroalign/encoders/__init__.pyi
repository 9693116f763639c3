from .ridge import Ridge as Ridge

__all__ = ["Ridge"]
