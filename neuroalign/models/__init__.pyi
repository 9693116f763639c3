from .convolutional import SmallConvNet as SmallConvNet

__all__ = ["SmallConvNet"]
