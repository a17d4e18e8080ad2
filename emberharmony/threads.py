"""Limit the threads of arithmetic on the host, and compute blocks of rows on several threads."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, nullcontext
from contextvars import copy_context
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

_limit: int | None = None
BLOCKS_BYTES = 48 * 2**20
"""Bytes that the blocks of all threads of one worker may take; the memory plan counts them if a worker has several threads."""
SUMS_BYTES = 16 * 2**20
"""Bytes that several sums of one computation, which its threads add to, may take together."""
_MOST_SUMS = 4


def available_cores() -> int:
    """Number of cores that this process may use; in a container this is often fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute_threads() -> int:
    """Threads that one computation may use: all cores, or fewer if a limit or OMP_NUM_THREADS is set."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return _limit or min(available_cores(), int(asked) if asked.isdigit() and int(asked) else available_cores())


@contextmanager
def limit_compute_threads(n_threads: int) -> Iterator[None]:
    """Limit every computation of this process to `n_threads`, including matrix products in NumPy, SciPy and torch.

    Measured: two workers with two threads each took 3.4 s for work that took 0.4 s with one thread each.

    Examples
    --------
    >>> with limit_compute_threads(1):
    ...     compute_threads()
    1
    """
    global _limit
    before, _limit = _limit, n_threads
    torch = sys.modules.get("torch")
    torch_before = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(n_threads)
    libraries = [(library, library.get_num_threads()) for library in _controller().lib_controllers]
    try:
        for library, _ in libraries:
            _set_threads(library, n_threads)
        yield
    finally:
        for library, n_before in libraries:
            _set_threads(library, n_before)
        _limit = before
        if torch:
            torch.set_num_threads(torch_before)


def limit_worker_threads(n_threads: int) -> None:
    """Limit every computation to `n_threads` until this process ends; a worker's tasks call it when they begin."""
    global _limit
    torch = sys.modules.get("torch")
    if torch and torch.get_num_threads() != n_threads:  # torch may have been imported since the last task
        torch.set_num_threads(n_threads)
    if _limit != n_threads:
        _limit = n_threads
        for library in _controller().lib_controllers:
            _set_threads(library, n_threads)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread, also in libraries that were loaded after the limit was set."""
    with _shared_limit.held():
        yield


def threads_for(block_bytes: int) -> int:
    """Threads that may each hold a block of `block_bytes`: all, or as many as fit in `BLOCKS_BYTES`."""
    return max(1, min(compute_threads(), BLOCKS_BYTES // block_bytes))


def n_partial_sums(n_blocks: int, sum_bytes: int) -> int:
    """Sums that blocks are added to in turn, so that several threads add: a power of two, at most four.

    It depends on what is added, and not on the number of threads: last bits depend on the order of a sum.

    Examples
    --------
    >>> n_partial_sums(n_blocks=17, sum_bytes=1_000), n_partial_sums(n_blocks=3, sum_bytes=1_000)
    (4, 2)
    """
    possible = max(min(_MOST_SUMS, n_blocks, SUMS_BYTES // sum_bytes), 1)
    return 1 << possible.bit_length() - 1


def each_block(work: Callable[[T], None], blocks: Sequence[T], *, n_threads: int | None = None) -> None:
    """Call `work` for every block, on as many threads as a computation may use; BLAS uses one thread in each of them.

    A single block has one thread of BLAS too, because the last bits of a product depend on their number. Only blocks so large
    that `n_threads` is 1 leave BLAS all threads.
    """
    n_allowed = n_threads or compute_threads()
    n_threads = min(n_allowed, len(blocks))
    if n_threads < 2:
        with _shared_limit.held() if n_allowed > 1 else nullcontext():
            _do_all(work, blocks)
        return
    with _shared_limit.held(), ThreadPoolExecutor(n_threads) as pool:
        # A new thread does not inherit the context, which holds the backend's choice.
        futures = [pool.submit(copy_context().run, _do_all, work, blocks[i::n_threads]) for i in range(n_threads)]
        for future in futures:
            future.result()


class _SharedLimit:
    """One thread of BLAS until the last of several computations that overlap has ended.

    The number of threads belongs to the process: the first one that ended would give BLAS all threads again, in the middle of
    the products of the others, and so change their last bits.
    """

    def __init__(self) -> None:
        self._lock, self._n_holders = threading.Lock(), 0
        self._before = dict[str, tuple[Any, int]]()  # libraries and their threads, by path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Limit BLAS, at least until the block ends."""
        with self._lock:
            for library in _controller().lib_controllers:
                if library.user_api == "blas" and library.filepath not in self._before:
                    self._before[library.filepath] = library, library.get_num_threads()
                    _set_threads(library, 1)
            self._n_holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_holders -= 1
                while self._before and not self._n_holders:
                    _set_threads(*self._before.popitem()[1])


_shared_limit = _SharedLimit()


def each_as_done(work: Callable[[T], R], items: Iterable[T], *, n_threads: int) -> Generator[R, None, None]:
    """Do `work` for every item on several threads, and yield each of its results as soon as it is there.

    At most twice as many items as threads are taken from `items` before one of them is done. If `work` fails, its error is
    raised, and items that no thread has begun are dropped.

    Examples
    --------
    >>> sorted(each_as_done(str, [3, 1, 2], n_threads=2))
    ['1', '2', '3']
    """
    if n_threads == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        running = set[Future[R]]()
        try:
            for item in items:
                running.add(pool.submit(work, item))
                if len(running) == 2 * n_threads:
                    yield from _done_of(running)
            while running:
                yield from _done_of(running)
        finally:
            pool.shutdown(cancel_futures=True)


def each_ended_behind(work: Callable[[T], Callable[[], R]], items: Iterable[T], *, n_threads: int) -> Iterator[R]:
    """Do `work` for every item on several threads, and call what it returns on as many others, which mostly wait.

    Yields the results of those calls, in the order in which the items were worked on. At most four times as many items as
    there are threads have begun and not ended. An error in either part is raised once all that was worked on has ended.

    Examples
    --------
    >>> sorted(each_ended_behind(lambda item: lambda: -item, [3, 1, 2], n_threads=2))
    [-3, -2, -1]
    """
    with ThreadPoolExecutor(n_threads) as behind:
        ending = deque[Future[R]]()
        with closing(each_as_done(lambda item: behind.submit(work(item)), items, n_threads=n_threads)) as begun:
            for end in begun:
                ending.append(end)
                while ending and (len(ending) > n_threads or ending[0].done()):
                    yield ending.popleft().result()
        while ending:
            yield ending.popleft().result()


def in_parallel(
    function: Callable[[T], R],
    items: Iterable[T],
    n_threads: int,
    *,
    size: Callable[[T], int] = lambda _: 0,
    most: int = 0,
) -> Iterator[R]:
    """Yield the function's results in the order of the items, on several threads: for work that waits for a server.

    With one thread, each item's turn comes when its result is asked for. Threads have the context of the caller, so that what
    they log is told of the caller's run.

    Parameters
    ----------
    function : callable
        Returns the result for an item.
    items : iterable
        The items.
    n_threads : int
        Results that are there or being made at a time, at most.
    size : callable
        Returns the bytes of an item's result.
    most : int
        Bytes of these results, at most, but for a single one.

    Examples
    --------
    >>> list(in_parallel(abs, [-2, -1], n_threads=2))
    [2, 1]
    """
    if n_threads <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        waiting, held = deque[tuple[Future[R], int]](), 0
        try:
            for item in items:
                n_bytes = size(item)
                while waiting and (len(waiting) == n_threads or held + n_bytes > most > 0):
                    result, taken = waiting.popleft()
                    yield result.result()
                    held -= taken
                waiting.append((pool.submit(copy_context().run, function, item), n_bytes))
                held += n_bytes
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            for result, _ in waiting:
                result.cancel()


class Turns:
    """Turns at computing: of more threads, so many compute at a time, while the others wait for a disk or a server.

    Examples
    --------
    >>> turns = Turns(1)
    >>> turns.taking(abs)(-1)
    1
    """

    def __init__(self, n_turns: int) -> None:
        self._turns = threading.Semaphore(n_turns)

    def taking(self, compute: Callable[P, R]) -> Callable[P, R]:
        """Return a function that waits for a turn, and gives it back when it has computed.

        What it calls must neither read nor write, nor wait for another thread: a turn is never waited for with a lock in hand.
        """

        def taken(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._turns:
                return compute(*args, **kwargs)

        return taken


def _done_of(running: set[Future[R]]) -> Iterator[R]:
    """Wait for at least one result, and take all that are there out of `running`."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        running.remove(future)
        yield future.result()


def _do_all(work: Callable[[T], None], blocks: Sequence[T]) -> None:
    for block in blocks:
        work(block)


def _set_threads(library: Any, n_threads: int) -> None:
    """Set the threads of a library, from any thread: those of OpenBLAS are otherwise left to the one that set them first."""
    if hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread(force=True)
    library.set_num_threads(n_threads)


def _controller() -> ThreadpoolController:
    """Return what limits the threads of all libraries that are loaded: imports load them."""
    return _controller_of(len(sys.modules))


@lru_cache(maxsize=1)
def _controller_of(_n_modules: int) -> ThreadpoolController:
    """Inspect every loaded library, which takes milliseconds: once, until there are more modules."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
