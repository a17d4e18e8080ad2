"""Columns to features; and, imported when first asked for, the notebook's two classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberharmony.features.terabyte_feature_extractor import TerabyteFeatureExtractor
    from emberharmony.features.terabyte_temporal_stride_processor import TerabyteTemporalStrideProcessor

__all__ = ["TerabyteFeatureExtractor", "TerabyteTemporalStrideProcessor"]

_MODULES = {
    "TerabyteFeatureExtractor": "terabyte_feature_extractor",
    "TerabyteTemporalStrideProcessor": "terabyte_temporal_stride_processor",
}


def __getattr__(name: str) -> Any:
    # The classes use every room of the library, and importing one feature's module must not load them.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
