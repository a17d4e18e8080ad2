"""Parity checks: a share of the chunks is computed on NumPy as well, which detects a GPU that computes wrongly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from platform import node
from typing import Any

import numpy as np

from emberharmony.backend import using_backend
from emberharmony.errors import ParityError
from emberharmony.ops import random
from emberharmony.pipeline.chunk_stages import PLAIN, Steps

TOLERANCE = 1e-4
"""Largest allowed difference, relative for values above 1: ten times what the backends are tested to."""

_SEED = 20_250_721  # arbitrary, and the same on every worker


def is_checked(chunk: int, share: float) -> bool:
    """Whether a chunk belongs to the share that is computed twice; the first chunk does, unless the share is 0.

    Examples
    --------
    >>> sum(is_checked(chunk, 0.1) for chunk in range(1000))
    108
    """
    return share > 0 and (chunk == 0 or bool(random.uniform_at(np.array([chunk]), seed=_SEED)[0] < share))


class ParityCheck:
    """Runs steps on the worker's backend and on NumPy, and keeps their largest difference."""

    def __init__(self) -> None:
        self.largest = 0.0

    def of(self, steps: Steps) -> Steps:
        """Return the steps with the check added; they return the backend's results."""
        return replace(
            steps,
            datetime_features=self._twice(steps.datetime_features, PLAIN.datetime_features),
            encode=self._twice(steps.encode, PLAIN.encode),
            window_states=self._twice(steps.window_states, PLAIN.window_states),
            project=self._twice(steps.project, PLAIN.project),
        )

    def raise_if_apart(self, stage: str, chunk: int, backend: str) -> None:
        """Refuse the chunk if the results differ too much.

        Raises
        ------
        ParityError
            If the largest difference is over `TOLERANCE`.
        """
        if not self.largest <= TOLERANCE:  # NaN is not
            raise ParityError(
                f"Chunk {chunk} ({stage}), computed by {backend} on host {node()}, differs from NumPy by "
                f"{self.largest:.3g}, over the {TOLERANCE:g} allowed. Take that host out, or set runtime.backend to "
                f"numpy; then run the same command again."
            )

    def _twice(self, step: Callable[..., Any], reference: Callable[..., Any]) -> Callable[..., Any]:
        def both(*args: Any) -> Any:
            result = step(*args)
            with using_backend("numpy"):
                expected = reference(*args)
            # Not max(): it loses a NaN.
            self.largest = float(np.maximum(self.largest, difference(result, expected)))
            return result

        return both


def difference(actual: Any, expected: Any) -> float:
    """Largest difference between two results of a step: blocks, blocks by name, or states.

    Of a state's sums, which grow with the rows, relative to the largest of them.
    """
    if isinstance(expected, Mapping):
        return max((difference(actual[name], expected[name]) for name in expected), default=0.0)
    if isinstance(expected, np.ndarray):
        return _largest(np.asarray(actual, np.float64), expected.astype(np.float64), scale=np.maximum(1.0, np.abs(expected)))
    assert isinstance(expected, Sequence)
    pairs = [(a.to_arrays(), b.to_arrays()) for a, b in zip(actual, expected, strict=True)]
    return max((_of_sums(a[name], b[name]) for a, b in pairs for name in b), default=0.0)


def _of_sums(actual: Any, expected: Any) -> float:
    b = np.asarray(expected, np.float64)
    return _largest(np.asarray(actual, np.float64), b, scale=np.abs(b).max(initial=1.0))


def _largest(a: Any, b: Any, *, scale: Any) -> float:
    with np.errstate(invalid="ignore"):  # of two infinities
        apart = np.abs(a - b) / scale
    same = (np.isnan(a) & np.isnan(b)) | (a == b)
    return float(np.where(same, 0.0, apart).max(initial=0.0))
