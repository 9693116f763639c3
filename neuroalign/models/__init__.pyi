from .convolutional import SmallConvNet as SmallConvNet
from .future_predictors import FuturePredictor as FuturePredictor

__all__ = ["FuturePredictor", "SmallConvNet"]
