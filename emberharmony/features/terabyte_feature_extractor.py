"""`TerabyteFeatureExtractor`, importable from the module that the user's guide names."""

from emberharmony.notebook.feature_extractor import TerabyteFeatureExtractor

__all__ = ["TerabyteFeatureExtractor"]
