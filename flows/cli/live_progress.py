"""The progress of a job in a terminal: a line for each stage that is done, and a bar for the one at work."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console, Group
from rich.text import Text

from emberharmony.messages import count_of, size_text
from emberharmony.pipeline.callback import Callback
from emberharmony.pipeline.events import ItemDone, JobPlanned, StageEnded, StageStarted
from emberharmony.report.progress_lines import ProgressLines
from emberharmony.report.sentences import plan_sentence
from emberharmony.report.stage_progress import StageProgress, count_text, worker_labels

if TYPE_CHECKING:
    from rich.live import Live

TITLE_CHARS: Final = 10
BAR_CHARS: Final = 40
LEAST_BAR_CHARS: Final = 10
MOST_WORKERS: Final = 8
"""Lines about workers; of more, their number is shown."""
REFRESHES_PER_S: Final = 4
QUICK_S: Final = 1.0
"""Time until a line says that the job is being planned, or its engine started."""


class ShownProgress(Callback):
    """Progress that is shown for the length of a block."""

    def __enter__(self) -> Self:
        """Begin to show it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Leave the terminal as it was found."""
        self.close()

    def close(self) -> None:
        """Show nothing more, from any thread or signal handler."""


class PlainProgress(ProgressLines, ShownProgress):
    """Progress as lines, for files and pipes."""


class LiveProgress(ShownProgress):
    """Progress as a bar that is drawn in place; what is printed meanwhile appears above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._job: JobPlanned | None = None
        self._stage: StageProgress | None = None
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        """Begin to draw."""
        from rich.live import Live  # not needed without a terminal

        self._live = Live(
            console=self._console,
            get_renderable=self._drawn,
            transient=True,
            refresh_per_second=REFRESHES_PER_S,
            vertical_overflow="crop",
        )
        self._live.start()
        return self

    def close(self) -> None:
        """Erase the bar. The stage at work, which has not ended, leaves a line."""
        live, self._live = self._live, None
        stage, self._stage = self._stage, None
        if live is None:
            return
        with suppress(RuntimeError):  # a signal came while this thread was writing to the terminal
            live.stop()
            if stage is not None and not stage.started.stage.once:
                self._print(f"{stage.title:<{TITLE_CHARS}} stopped at {stage.facts()[0]}")

    def planned(self, event: JobPlanned) -> None:
        """Print the plan."""
        self._job = event
        self._print(plan_sentence(event.plan, event.backend))

    def stage_started(self, event: StageStarted) -> None:
        """Draw the bar of a stage."""
        self._stage = StageProgress(event)

    def item_done(self, event: ItemDone) -> None:
        """Move the bar at the next refresh."""
        if self._stage is not None:
            self._stage.add(event)

    def stage_ended(self, event: StageEnded) -> None:
        """Print what the stage took, above the bars."""
        stage, self._stage = self._stage, None
        if stage is not None:
            self._print(f"{stage.title:<{TITLE_CHARS}} {stage.ended_text()}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=False)

    def _drawn(self) -> Group:
        stage, waited_s = self._stage, time.monotonic() - self._began
        if stage is None:
            return Group(*([_line("starting", f"{waited_s:.0f} s")] if self._job is None and waited_s >= QUICK_S else []))
        held = self._job.memory() if self._job else 0
        facts = [*stage.facts(brief=True), *([f"{size_text(held)} memory"] if held else [])]
        lines = list(self._stage_lines(stage, facts))
        if len(stage.workers) > 1:
            lines += self._worker_lines(stage)
        return Group(*lines)

    def _stage_lines(self, stage: StageProgress, facts: Sequence[str]) -> Iterator[Text]:
        """The title, the bar and the facts; those for which the first line has no room are on a second one."""
        room = self._console.width - TITLE_CHARS - 1
        if stage.started.stage.once:
            yield _line(stage.title, "  ".join([f"{stage.elapsed_s:.0f} s", *facts]))
            return
        first = list(facts)
        while len(first) > 1 and LEAST_BAR_CHARS + 2 + len("  ".join(first)) > room:
            first.pop()
        n_chars = min(BAR_CHARS, room - 2 - len("  ".join(first)))
        line = _line(stage.title, "")
        if n_chars >= LEAST_BAR_CHARS:
            full, empty = ("#", "-") if self._console.options.ascii_only else ("━", "━")
            n_full = min(int(n_chars * stage.share), n_chars)
            line.append(full * n_full, style="green").append(empty * (n_chars - n_full), style="bright_black").append("  ")
        yield line.append("  ".join(first))
        if len(first) < len(facts):
            yield _line("", "  ".join(facts[len(first) :]), style="bright_black")

    def _worker_lines(self, stage: StageProgress) -> Iterator[Text]:
        workers, labels = dict(stage.workers), worker_labels(dict(stage.workers))
        most = max(1, min(MOST_WORKERS, self._console.height - 4))
        width = max(map(len, labels[:most]))
        for label, worker in list(zip(labels, workers.values(), strict=True))[:most]:
            speed = f", {count_text(worker.n_rows / stage.elapsed_s)} rows/s" if worker.n_rows and stage.elapsed_s else ""
            chunks = count_of(worker.n_items, "chunk")
            yield _line("", f"{label:<{width}}  {chunks}{speed}", style="bright_black")
        if len(workers) > most:
            yield _line("", f"and {len(workers) - most:,} more", style="bright_black")


def shown_progress(console: Console, *, quiet: bool) -> ShownProgress:
    """Return the progress for a console: a bar in a terminal, lines elsewhere, nothing if `quiet`."""
    if quiet:
        return ShownProgress()
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveProgress(console)
    return PlainProgress(lambda line: console.print(line, markup=False))


def _line(title: str, text: str, *, style: str = "") -> Text:
    """One line of the display; a terminal that is too narrow for it shows its beginning."""
    return Text(f"{title:<{TITLE_CHARS}} {text}", style=style, no_wrap=True, overflow="crop")
