"""Progress of the notebook's classes, shown whether or not logging is configured."""

from __future__ import annotations

import logging
import sys


class Progress:
    """Progress messages: logged at level INFO if logging is configured, else written to standard error."""

    def __init__(self, log: logging.Logger, *, verbose: bool) -> None:
        self._log, self._verbose = log, verbose

    def __call__(self, message: str, *values: object) -> None:
        """Show a message in the format of `logging`, unless `verbose` is off."""
        if not self._verbose:
            return
        if self._log.hasHandlers():
            self._log.info(message, *values)
        else:
            sys.stderr.write((message % values if values else message) + "\n")
