"""The status of a sink for people and as JSON: who is at work, how far, how fast, and what is published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from emberharmony.io.manifest import Manifest
from emberharmony.io.store.address import without_query
from emberharmony.messages import count_of
from emberharmony.pipeline.run_status import PlaceStatus, RunStatus, SinkStatus, StageStatus
from emberharmony.report.stage_progress import Pace, count_text, rough_duration

Line = tuple[str, str]


def status_lines(status: SinkStatus) -> Iterator[Line]:
    """Labels and texts of a status."""
    for place in [status.here, *status.held]:
        if place is status.here and not _is_of_interest(place, status):
            continue
        yield "sink", without_query(place.address)
        yield from _place_lines(place, status.read_at)
    if status.slices:
        first, last = status.slices[0], status.slices[-1]
        yield "slices", f"{len(status.slices):,}: {first} to {last}" if first != last else f"1: {first}"
        if not status.is_at_work:
            yield "", "no run is at work on one of them"


def _is_of_interest(place: PlaceStatus, status: SinkStatus) -> bool:
    return not status.slices or place.holder is not None or place.run is not None or place.published is not None


def _place_lines(place: PlaceStatus, now: float) -> Iterator[Line]:
    yield "run", _run_text(place, now)
    run = place.run
    if run is not None:
        if run.attempt is not None:
            attempt = run.attempt
            workers = count_of(attempt.workers, "worker")
            yield "engine", f"{attempt.engine}, {workers}, backend {attempt.backend}"
        if run.slice is not None:
            yield "slice", run.slice
        for stage in run.stages:
            yield stage.stage.title, _stage_text(run, stage, now, is_at_work=place.is_at_work)
    if place.published is not None:
        yield "published", _published_text(place.published)
    else:
        yield "published", "nothing yet"


def _run_text(place: PlaceStatus, now: float) -> str:
    holder, run = place.holder, place.run
    if holder is None and run is None:
        return "none is at work"
    last = "" if run is None or run.last_at is None else f"; its last chunk was done {_ago(now - run.last_at)}"
    if holder is None:
        return f"interrupted{last}. The same command goes on where it stopped."
    if holder.is_alive is False:
        gone = (
            "its process has ended"
            if holder.silent_s is None
            else f"it gave no sign of life for {rough_duration(holder.silent_s)}"
        )
        return f"interrupted: {holder}; {gone}{last}. The same command goes on where it stopped."
    sign = "" if holder.silent_s is None else f"; last sign of life {_ago(holder.silent_s)}"
    begun = "; it has planned nothing yet" if run is None else ""
    if holder.is_alive is None:
        return f"{holder}; whether it is still alive cannot be told from this host{last}{begun}"
    return f"at work: {holder}{sign}{begun}"


def _stage_text(run: RunStatus, stage: StageStatus, now: float, *, is_at_work: bool) -> str:
    unit = "" if stage.stage.once else count_of(stage.n_items, "chunk")
    if stage.is_complete:
        took = _Speed.of(run, stage).took_s
        return f"done{f': {unit}' if unit else ''}{f' in {rough_duration(took)}' if took is not None else ''}"
    if stage is not run.current:
        return unit or "-"
    if stage.stage.once:
        return "under way" if is_at_work else "comes next"
    share = 100 * stage.done_rows / stage.n_rows if stage.n_rows else 100.0
    parts = [f"{len(stage.done):,} of {unit} ({share:.0f} %)"]
    if is_at_work:
        speed = _Speed.of(run, stage)
        left = speed.seconds_left(now)
        parts += [] if left is None else [f"about {rough_duration(left)} left"]
        parts += [] if speed.rows_per_second is None else [f"{count_text(speed.rows_per_second)} rows/s"]
        parts += [] if not stage.done else [f"last one {_ago(now - stage.done[-1].at)}"]
    return ", ".join(parts)


class _Speed:
    """How fast a stage is in the present attempt, from the times of its receipts."""

    def __init__(self, began: float, stage: StageStatus, n_workers: int) -> None:
        self._stage, self._n_workers = stage, n_workers
        self._pace, self._began = Pace(began), began
        done = [item for item in stage.done if item.at >= began]
        for item in done:
            self._pace.add(item.n_rows, at=item.at)
        self._n_rows, self._last = sum(item.n_rows for item in done), done[-1].at if done else None

    @classmethod
    def of(cls, run: RunStatus, stage: StageStatus) -> _Speed:
        """Return the speed of a stage, which begins where the one before it has ended, or with the attempt."""
        before = [other.done[-1].at for other in run.stages[: run.stages.index(stage)] if other.done]
        attempt = run.attempt
        first = [stage.done[0].at] if stage.done and attempt is None else []
        began = max([*before, *([attempt.began_at] if attempt else []), *([] if before else first)], default=0.0)
        return cls(began, stage, attempt.workers if attempt else 1)

    @property
    def took_s(self) -> float | None:
        """Seconds until the last item; ``None`` if this attempt has done none."""
        return None if self._last is None else self._last - self._began

    @property
    def rows_per_second(self) -> float | None:
        """Rows in a second of this attempt."""
        took = self.took_s
        return self._n_rows / took if took and self._n_rows else None

    def seconds_left(self, now: float) -> float | None:
        """Predicted time until the stage ends, see `Pace`."""
        left = self._stage.n_rows - self._stage.done_rows
        return self._pace.seconds_left(left, at=now, n_workers=self._n_workers) if left > 0 else None


def _published_text(manifest: Manifest) -> str:
    when = manifest.created.replace("T", " ").replace("+00:00", " UTC")
    rows = f"{manifest.n_rows:,} rows" if manifest.holds_rows else "a fitted state"
    part = f", slice {manifest.slice}" if manifest.slice else ""
    return f"{when}: {rows}{part}, fingerprint {manifest.fingerprint}"


def _ago(seconds: float) -> str:
    return f"{rough_duration(max(seconds, 0.0))} ago"


def status_json(status: SinkStatus) -> dict[str, Any]:
    """A status for machines; times are ISO 8601 in UTC, and what is not known is null."""
    return {
        **_place_json(status.here, status.read_at),
        "slices": list(status.slices),
        "slices_at_work": [_place_json(place, status.read_at) for place in status.held],
    }


def _place_json(place: PlaceStatus, now: float) -> dict[str, Any]:
    run, published = place.run, place.published
    state = "at work" if place.is_at_work else "interrupted" if place.holder is not None or run is not None else "idle"
    return {
        "sink": without_query(place.address),
        "state": state,
        "holder": None if place.holder is None else asdict(place.holder),
        "run": None if run is None else _run_json(run, now),
        "published": None
        if published is None
        else {
            "created": published.created,
            "fingerprint": published.fingerprint,
            "rows": published.n_rows,
            "slice": published.slice or None,
        },
    }


def _run_json(run: RunStatus, now: float) -> dict[str, Any]:
    speed = _Speed.of(run, run.current)
    return {
        "name": run.name,
        "slice": run.slice,
        "rows": run.n_rows,
        "attempt": None if run.attempt is None else asdict(run.attempt),
        "stage": run.current.stage.name,
        "rows_per_second": speed.rows_per_second,
        "seconds_left_of_stage": speed.seconds_left(now),
        "last_done": None if run.last_at is None else datetime.fromtimestamp(run.last_at, UTC).isoformat(timespec="seconds"),
        "stages": [
            {
                "name": stage.stage.name,
                "items": stage.n_items,
                "done": len(stage.done),
                "rows": stage.n_rows,
                "rows_done": stage.done_rows,
                "complete": stage.is_complete,
            }
            for stage in run.stages
        ],
    }
