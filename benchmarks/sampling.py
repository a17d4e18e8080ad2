"""Where a job's time goes, by stage and by kind of work, from samples of its threads while it runs.

Every few milliseconds a thread looks at the stacks of all others. The CPU time that a thread has used since the last sample,
by the kernel's count, goes to the kind of work that its innermost frame of this project does. So whatever moves within the
code, the shares stay right as long as a module keeps its task.

The sampler needs the interpreter, and so makes threads wait for it: the job takes a sixth longer while it is sampled. How long
it takes and waits is measured apart, by `benchmarks.waiting`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from benchmarks.workbench import SkippedError
from emberharmony.pipeline.callback import Callback
from emberharmony.pipeline.events import StageStarted

INTERVAL_S = 0.002
DECODE, ARITHMETIC, ENCODE, WRITE, REST, LIBRARIES = "decode", "arithmetic", "encode", "write", "the rest", "libraries"
KINDS = (DECODE, ARITHMETIC, ENCODE, WRITE, REST, LIBRARIES)
"""`libraries`: threads that libraries start for themselves, in which Python sees nothing."""

_WORK = {
    "emberharmony/io/sources": DECODE,
    "emberharmony/io/parts.py:read_part": DECODE,
    "emberharmony/io/parts.py:read_halo": DECODE,
    "emberharmony/io/parts.py:block_of": DECODE,
    "emberharmony/io/parts.py": ENCODE,
    "emberharmony/io/pieces.py": ENCODE,
    "emberharmony/io/placed_file.py": WRITE,
    "emberharmony/io/store": WRITE,
    **{
        f"emberharmony/{name}": ARITHMETIC
        for name in (
            "steps",
            "stats",
            "features",
            "ops",
            "backend",
            "pca",
            "projection",
            "steady_products",
            "series",
            "windows",
            "splits",
            "threads",
            "arrow",
        )
    },
    "emberharmony": REST,
    "flows": REST,
}
"""Kinds of work by module, and by function where a module does several; the longest name that fits counts."""

_ROOT = f"{Path(__file__).parents[1]}/"


def kind_of_code(path: str, function: str) -> str | None:
    """Return the kind of work of a function of this project, or None for other code.

    Examples
    --------
    >>> kind_of_code("emberharmony/io/parts.py", "read_part"), kind_of_code("emberharmony/io/parts.py", "write_part")
    ('decode', 'encode')
    >>> kind_of_code("numpy/linalg.py", "qr") is None
    True
    """
    names = [path, *(str(parent) for parent in Path(path).parents)]
    return next((_WORK[name] for name in (f"{path}:{function}", path.removesuffix(".py"), *names) if name in _WORK), None)


def kind_of_stack(frame: FrameType | None) -> str:
    """Return the kind of work of a thread: that of its innermost frame of this project."""
    while frame is not None:
        path = frame.f_code.co_filename
        kind = kind_of_code(path.removeprefix(_ROOT), frame.f_code.co_name) if path.startswith(_ROOT) else None
        if kind is not None:
            return kind
        frame = frame.f_back
    return REST


@dataclass
class StageShares:
    """What one stage took."""

    cpu_seconds: float = 0.0  # of the whole process
    by_kind: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))

    def __add__(self, other: StageShares) -> StageShares:
        """Return both stages together."""
        sums = {kind: self.by_kind[kind] + other.by_kind[kind] for kind in KINDS}
        return StageShares(self.cpu_seconds + other.cpu_seconds, sums)


class Sampler(Callback):
    """Samples the threads of this process, and is the callback of the job that runs in it.

    Raises
    ------
    SkippedError
        On other systems than Linux, whose kernel does not count the CPU time of single threads in files.
    """

    def __init__(self) -> None:
        if not Path("/proc/self/schedstat").exists():
            raise SkippedError("CPU time of single threads is only known on Linux")
        self.stages: dict[str, StageShares] = {}
        self._stage = "plan"
        self._counts: dict[int, int] = {}  # nanoseconds on a core, by thread
        self._done = threading.Event()
        self._found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._since = 0.0
        self._own_seconds = 0.0  # CPU time of the sampler since the stage began

    def stage_started(self, event: StageStarted) -> None:
        """Count what follows under the next stage; planning is the one before the first."""
        self._close()
        self._stage = event.stage.title

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Sample until the block ends."""
        thread = threading.Thread(target=self._sample_until_done, name="sampler", daemon=True)
        for running in threading.enumerate():  # what they did before is not counted
            self._counts[running.native_id or 0] = _count_of(running.native_id) or 0
        self._since = time.process_time()
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()
            self._close()

    def _close(self) -> None:
        cpu = time.process_time()
        kinds = dict.fromkeys(KINDS, 0.0) | self._found.pop(self._stage, {})
        total, self._own_seconds = cpu - self._since - self._own_seconds, 0.0
        kinds[LIBRARIES] = max(0.0, total - sum(kinds.values()))
        self.stages[self._stage] = self.stages.get(self._stage, StageShares()) + StageShares(total, kinds)
        self._since = cpu

    def _sample_until_done(self) -> None:
        before = time.thread_time()
        while not self._done.wait(INTERVAL_S):
            others = {it.ident: it.native_id for it in threading.enumerate() if it is not threading.current_thread()}
            self.sample(others)
            self._own_seconds += time.thread_time() - before
            before = time.thread_time()

    def sample(self, native_ids: Mapping[int | None, int | None]) -> None:
        """Look at all threads once."""
        for ident, frame in sys._current_frames().items():
            native = native_ids.get(ident)
            count = _count_of(native)
            if native is None or count is None:
                continue  # the sampler itself, or a thread that has ended
            self._found[self._stage][kind_of_stack(frame)] += (count - self._counts.get(native, 0)) / 1e9
            self._counts[native] = count


def _count_of(native_id: int | None) -> int | None:
    try:
        return int(Path(f"/proc/self/task/{native_id}/schedstat").read_text().split()[0])
    except OSError:
        return None


def table_of(stages: Mapping[str, StageShares], floor: Mapping[str, float]) -> str:
    """Return a table of CPU seconds: stages by kinds of work, their sum, and each beside the floor's.

    Parameters
    ----------
    floor : mapping of str to float
        CPU seconds of the floor, by the same kinds.
    """
    total = sum(stages.values(), start=StageShares())
    columns = [*KINDS, "CPU", "of the floor"]
    lines = ["".join([f"{'':<12}", *(f"{column:>13}" for column in columns)])]
    for name, shares in [*stages.items(), ("together", total)]:
        share = f"{shares.cpu_seconds / sum(floor.values()):13.0%}"
        lines.append("".join([f"{name:<12}", *(f"{n:13.2f}" for n in [*shares.by_kind.values(), shares.cpu_seconds]), share]))
    of_floor = [f"{floor[kind]:13.2f}" if kind in floor else f"{'':>13}" for kind in KINDS]
    lines.append("".join([f"{'the floor':<12}", *of_floor, f"{sum(floor.values()):13.2f}"]))
    times = [f"{total.by_kind[kind] / floor[kind]:11.1f} x" if floor.get(kind) else f"{'':>13}" for kind in KINDS]
    times.append(f"{total.cpu_seconds / sum(floor.values()):11.1f} x")
    lines.append("".join([f"{'ours / floor':<12}", *times]))
    return "\n".join(line.rstrip() for line in lines)
