"""What a job expected of its rows, and what was found, in lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from emberharmony.expectations.checks import Outcome, Verdict

MAX_LINES: Final = 5
"""Expectations with a line of their own; the manifest lists all."""
_WORDS: Final[dict[Outcome, str]] = {
    "passed": "{:,} met",
    "warned": "{:,} not met",
    "too few rows": "{:,} on too few rows to judge",
}


def expectation_lines(expectations: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Labels and texts of the expectations in a manifest; those that are not met have a line each.

    Examples
    --------
    >>> met, missed = Verdict("x.min", "passed", 1, 0, 90), Verdict("x.max_psi", "warned", 0.41, 0.25, 90)
    >>> for label, text in expectation_lines([met.to_json(), missed.to_json()]):
    ...     print(f"{label:6} {text}")
    expect 1 met, 1 not met
           x.max_psi: 0.41, at most 0.25 is expected; judged on 90 rows
    """
    verdicts = [Verdict.from_json(data) for data in expectations]
    counted = Counter(verdict.outcome for verdict in verdicts)
    if counted:
        yield "expect", ", ".join(words.format(counted[name]) for name, words in _WORDS.items() if counted[name])
    warned = [verdict for verdict in verdicts if verdict.outcome == "warned"]
    yield from (("", verdict.text) for verdict in warned[:MAX_LINES])
    if len(warned) > MAX_LINES:
        yield "", f"and {len(warned) - MAX_LINES:,} more that are not met: manifest.json lists them"
