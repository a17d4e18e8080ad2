"""Stop on a signal, within seconds; everything that is committed is kept."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from emberharmony.messages import printable

GRACE_S = 4.0
"""How long threads may take to end a chunk, and Prefect to record the end of the run."""

_AGAIN_S: Final = 0.02
"""How long after an exception that was lost the next one comes."""

_OF_TRACKER: Final = "ignore:resource_tracker:UserWarning"
"""An option of Python: the process that removes the semaphores of a process that was stopped does not report them."""

_advice: str | None = None
_hurries = False
_leaves = False


class Stopped(KeyboardInterrupt):
    """The process was asked to stop by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


@contextmanager
def stoppable(advice: str, *, at_once: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Leave the block, and if it does not end within `GRACE_S` the process, when SIGINT or SIGTERM comes.

    That is safe at any moment: every file appears whole or not at all, and a stage is done when its receipt is there.

    Parameters
    ----------
    advice : str
        A line that says how to go on.
    at_once : callable
        Called when the signal comes, in its handler: the block may take a while to end, or be cut short.

    Raises
    ------
    SystemExit
        With status 130 after SIGINT, 143 after SIGTERM.
    """
    global _advice, _hurries
    asked: list[int] = []
    lost: list[int] = []
    if _OF_TRACKER not in sys.warnoptions:  # `multiprocessing` starts that process with these options
        sys.warnoptions.append(_OF_TRACKER)

    def stop(number: int, _frame: FrameType | None) -> None:
        if _leaves:
            return
        if lost:
            raise Stopped(lost.pop())
        if asked:
            _leave(128 + number)
        asked.append(number)
        hurry(number)
        at_once()
        raise Stopped(number)

    def unraisable(seen: sys.UnraisableHookArgs) -> None:
        """Stop a little later if the signal came in a finalizer or the like, where Python prints an error and goes on."""
        if isinstance(seen.exc_value, Stopped):
            lost.append(asked[0])
            _later(_AGAIN_S, signal.pthread_kill, threading.main_thread().ident, asked[0])
        else:
            hook(seen)

    _advice, _hurries = advice, False
    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
        if asked:  # and the exception was lost on the way
            raise Stopped(asked[0])
    except BaseException as error:
        if not asked and not isinstance(error, KeyboardInterrupt):
            raise
        _leave(128 + (asked[0] if asked else signal.SIGINT))
    finally:
        _advice = None
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def hurry(number: int = signal.SIGTERM) -> None:
    """End the process in `GRACE_S` at the latest, if it is one that `stoppable` watches."""
    global _hurries
    if _advice is not None and not _hurries:  # the first signal decides the status
        _hurries = True
        _later(GRACE_S, _leave, 128 + number)


def _later(wait_s: float, call: Callable[..., object], *arguments: object) -> None:
    timer = threading.Timer(wait_s, call, arguments)
    timer.daemon = True
    timer.start()


def _leave(status: int) -> None:
    """End the process at once, and every process that it has started."""
    global _leaves
    _leaves = True
    import psutil

    logging.disable()  # of connections that break now, libraries would log tracebacks
    for child in psutil.Process().children(recursive=True):
        try:
            child.terminate()
        except psutil.NoSuchProcess:
            continue
    with suppress(OSError, ValueError, AttributeError):  # the reader may be gone
        sys.stderr.write(f"\n{printable(_advice or '')}\n")
        sys.stderr.flush()
    os._exit(status)
