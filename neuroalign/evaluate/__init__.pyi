from .cross_validation import cross_validate as cross_validate

__all__ = ["cross_validate"]
