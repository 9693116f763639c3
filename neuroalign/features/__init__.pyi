from ._film import load_frames as load_frames
from ._store import open_store as open_store
from .audio import extract_audio as extract_audio
from .image_filters import gabor_features as gabor_features
from .joining import join_features as join_features
from .motion import motion_energy as motion_energy
from .predictability import surprisal as surprisal
from .reduction import PrincipalComponents as PrincipalComponents
from .reduction import SparseProjection as SparseProjection
from .sound import mel_spectrogram as mel_spectrogram
from .sound import sound_envelope as sound_envelope
from .tangent_kernel import compute_tangent_kernel as compute_tangent_kernel
from .tangent_kernel import read_weights as read_weights
from .tangent_kernel import record_layer as record_layer
from .text import extract_text as extract_text
from .torch_model import extract as extract
from .video import extract_video as extract_video
from .vision_models import VisionModel as VisionModel
from .vision_models import load_vision_model as load_vision_model
from .vision_models import place_tokens as place_tokens
from .weights import check_weights as check_weights
from .weights import load_weights as load_weights
from .word_properties import word_frequency as word_frequency
from .word_properties import word_length as word_length
from .word_properties import word_rate as word_rate

__all__ = [
    "PrincipalComponents",
    "SparseProjection",
    "VisionModel",
    "check_weights",
    "compute_tangent_kernel",
    "extract",
    "extract_audio",
    "extract_text",
    "extract_video",
    "gabor_features",
    "join_features",
    "load_frames",
    "load_vision_model",
    "load_weights",
    "mel_spectrogram",
    "motion_energy",
    "open_store",
    "place_tokens",
    "read_weights",
    "record_layer",
    "sound_envelope",
    "surprisal",
    "word_frequency",
    "word_length",
    "word_rate",
]
