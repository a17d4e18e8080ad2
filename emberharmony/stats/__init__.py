"""Mergeable statistics: ``of(chunk)``, then ``merge``, then a result; states are float64 on the host on every backend."""

from emberharmony.stats.categories import CategoryCounts
from emberharmony.stats.moments import Moments
from emberharmony.stats.quantiles import Quantiles
from emberharmony.stats.window_gram import WindowGram

__all__ = ["CategoryCounts", "Moments", "Quantiles", "WindowGram"]
