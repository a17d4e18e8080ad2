"""From columns to features; the two classes of the notebook are imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberharmony.notebook import TerabyteFeatureExtractor, TerabyteTemporalStrideProcessor

__all__ = ["TerabyteFeatureExtractor", "TerabyteTemporalStrideProcessor"]


def __getattr__(name: str) -> Any:
    # The two classes use the whole library; importing the module of one feature must not load it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from emberharmony import notebook

    return getattr(notebook, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
