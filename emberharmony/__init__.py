"""Model-ready features from tables of any size, on NumPy, torch or MLX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emberharmony.version import VERSION

if TYPE_CHECKING:
    from emberharmony.loader import WindowLoader
    from emberharmony.published import open_result

__all__ = ["WindowLoader", "__version__", "open_result"]
__version__ = VERSION


def __getattr__(name: str) -> Any:
    # Imported when first used: `import emberharmony` loads nothing else.
    if name == "WindowLoader":
        from emberharmony.loader import WindowLoader

        return WindowLoader
    if name == "open_result":
        from emberharmony.published import open_result

        return open_result
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
