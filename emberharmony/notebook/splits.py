"""How a notebook's rows are divided."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args, get_type_hints

from emberharmony.messages import shown
from emberharmony.notebook.arguments import number_in
from emberharmony.splits import SplitSpec

METHODS = tuple(method for method in get_args(get_args(get_type_hints(SplitSpec)["method"])[0]) if method != "hash")
"""Ways to divide rows that need no keys."""


def split_spec(fractions: Any, method: Any) -> SplitSpec:
    """Return the split that arguments ask for.

    Examples
    --------
    >>> split_spec([0.5, 0.25, 0.25], "random").fractions
    (0.5, 0.25, 0.25)
    """
    if method is not None and method not in METHODS:
        raise ValueError(f"split_method is one of {', '.join(METHODS)}, got {shown(method)}.")
    if isinstance(fractions, str) or not isinstance(fractions, Iterable):
        raise TypeError(f"fractions are three numbers, got {shown(fractions)}.")
    shares = [0.0 if share == 0 else number_in("each of fractions", share, 0, 1) for share in fractions]
    if len(shares) != len(SplitSpec().fractions):
        raise ValueError(f"fractions are those of train, validation and test, got {len(shares)} of them.")
    train, validation, test = shares
    return SplitSpec(method=method, fractions=(train, validation, test))
