"""The notebook's two classes, which work on frames and matrices in memory."""

from emberharmony.notebook.feature_extractor import TerabyteFeatureExtractor
from emberharmony.notebook.stride_processor import TerabyteTemporalStrideProcessor

__all__ = ["TerabyteFeatureExtractor", "TerabyteTemporalStrideProcessor"]
