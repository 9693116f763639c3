"""What image decoding asks of networks that come from elsewhere, with their weights."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class ImageEmbedder(Protocol):
    """Images to embeddings: the features that responses are decoded into, or are judged by.

    Anything with such a method is one; nothing is inherited.

    Examples
    --------
    >>> class Mean:
    ...     def embed(self, images):
    ...         return images.mean(axis=(1, 2))
    >>> isinstance(Mean(), ImageEmbedder)
    True
    """

    def embed(self, images: Any) -> Any:
        """Embed images.

        Parameters
        ----------
        images : array (sample, row, column[, channel])
            0 to 1.

        Returns
        -------
        array (sample, feature) or (sample, token, feature)
        """
        ...


@runtime_checkable
class ImageGenerator(Protocol):
    """Embeddings to images: the last step of a reconstruction.

    Anything with such a method is one; nothing is inherited.

    Examples
    --------
    >>> class Grey:
    ...     def generate(self, embeddings, *, seed=0):
    ...         return embeddings.mean(axis=1)[:, None, None].repeat(8, 1).repeat(8, 2)
    >>> isinstance(Grey(), ImageGenerator)
    True
    """

    def generate(self, embeddings: Any, *, seed: int = 0) -> Any:
        """Generate one image for each embedding.

        Parameters
        ----------
        embeddings : array (sample, feature) or (sample, token, feature)
        seed : int
            The same gives the same images.

        Returns
        -------
        array (sample, row, column[, channel])
            0 to 1.
        """
        ...
