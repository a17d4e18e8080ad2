"""Mergeable states: ``of(chunk)``, ``merge``, and then a figure; float64 on the host whatever the backend."""

from emberharmony.stats.categories import CategoryCounts
from emberharmony.stats.moments import Moments
from emberharmony.stats.quantiles import Quantiles
from emberharmony.stats.window_gram import WindowGram

__all__ = ["CategoryCounts", "Moments", "Quantiles", "WindowGram"]
