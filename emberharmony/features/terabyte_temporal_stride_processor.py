"""`TerabyteTemporalStrideProcessor`, importable from the module that the user's guide names."""

from emberharmony.notebook.stride_processor import TerabyteTemporalStrideProcessor

__all__ = ["TerabyteTemporalStrideProcessor"]
