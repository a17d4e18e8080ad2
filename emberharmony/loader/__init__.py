"""Raw windows of a published result, batch by batch, for training loops."""

from emberharmony.loader.window_loader import WindowLoader
from emberharmony.loader.window_reader import WindowBatch

__all__ = ["WindowBatch", "WindowLoader"]
