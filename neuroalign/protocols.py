"""What one room asks of objects from another."""

from typing import Any, Protocol, Self


class Encoder(Protocol):
    """A map from features to responses."""

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from X (sample, feature) and y (sample, neuroid[, time])."""
        ...

    def predict(self, X: Any) -> Any:
        """Predict (sample, neuroid[, time])."""
        ...


class Reducer(Protocol):
    """A map from features to fewer features that needs no fitting."""

    data_independent: bool

    def transform(self, X: Any) -> Any:
        """Map (sample, feature) to (sample, feature)."""
        ...
