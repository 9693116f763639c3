"""Our own classes keep what the protocols ask."""

from typing import get_type_hints

from neuroalign.encoders import Ridge
from neuroalign.features import SparseProjection
from neuroalign.protocols import Encoder, Reducer


def test_ridge_is_an_encoder_and_sparse_projection_a_reducer() -> None:
    for thing, protocol in ((Ridge, Encoder), (SparseProjection, Reducer)):
        asked = {name for name in vars(protocol) if not name.startswith("_")}
        asked |= get_type_hints(protocol).keys()
        missing = {name for name in asked if not hasattr(thing(), name)}
        assert not missing, f"{thing.__name__} lacks {missing}"
