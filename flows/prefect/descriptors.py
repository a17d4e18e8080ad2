"""The numbers of the standard streams, which must not go to another file."""

from __future__ import annotations

import os


def occupy_descriptors() -> None:
    """Open the null device where a standard stream is closed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
