from .classify import decode_classes as decode_classes
from .generalization import decode_across_conditions as decode_across_conditions
from .generalization import decode_across_time as decode_across_time
from .group_inference import infer_across_time as infer_across_time
from .identification import identify as identify
from .linear import LinearDecoder as LinearDecoder
from .linear import RidgeDecoder as RidgeDecoder
from .motion import MotionDecoder as MotionDecoder
from .motion import window_responses as window_responses
from .optical_flow import FlowCodebook as FlowCodebook
from .optical_flow import estimate_flow as estimate_flow
from .priors import DiffusionPrior as DiffusionPrior
from .protocols import ImageEmbedder as ImageEmbedder
from .protocols import ImageGenerator as ImageGenerator
from .reconstruction_scores import identify_pairs as identify_pairs
from .reconstruction_scores import score_pixels as score_pixels
from .reconstruction_scores import score_reconstructions as score_reconstructions
from .reconstruction_scores import score_structure as score_structure
from .retrieval import EmbeddingDecoder as EmbeddingDecoder
from .searchlight import decode_searchlight as decode_searchlight

__all__ = [
    "DiffusionPrior",
    "EmbeddingDecoder",
    "FlowCodebook",
    "ImageEmbedder",
    "ImageGenerator",
    "LinearDecoder",
    "MotionDecoder",
    "RidgeDecoder",
    "decode_across_conditions",
    "decode_across_time",
    "decode_classes",
    "decode_searchlight",
    "estimate_flow",
    "identify",
    "identify_pairs",
    "infer_across_time",
    "score_pixels",
    "score_reconstructions",
    "score_structure",
    "window_responses",
]
