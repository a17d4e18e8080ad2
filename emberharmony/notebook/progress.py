"""Progress of the notebook's classes, for whoever has not configured logging as well."""

from __future__ import annotations

import logging
import sys


class Progress:
    """Log progress at level INFO where logging is configured, and write it to standard error where it is not."""

    def __init__(self, log: logging.Logger, *, verbose: bool) -> None:
        self._log, self._verbose = log, verbose

    def __call__(self, message: str, *values: object) -> None:
        """Show a message of logging's format, unless told to be silent."""
        if not self._verbose:
            return
        if self._log.hasHandlers():
            self._log.info(message, *values)
        else:
            sys.stderr.write((message % values if values else message) + "\n")
