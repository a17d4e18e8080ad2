"""The types of sources and sinks: a type of settings, and what opens the table that they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Vendor(Generic[T]):
    """A type of source or sink that a job can name: the class of its settings, and the function that opens what they name.

    The function imports its vendor's modules: a job on local files starts without those of BigQuery, which take 0.06 s.

    Examples
    --------
    >>> from pathlib import PurePosixPath
    >>> Vendor(str, PurePosixPath).open("data/flights.parquet").suffix
    '.parquet'
    """

    spec: type[Any]
    open: Callable[[Any], T]
