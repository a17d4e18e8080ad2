"""What is published at a place, and what can be removed there, in the console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from emberharmony.io.store.opening import result_at
from emberharmony.io.store.snapshot import Leftover
from emberharmony.messages import count_of, size_text
from emberharmony.pipeline.clean import clean_sink
from emberharmony.report.result_report import result_json, result_lines


def show_result(sink: str, *, version: str | None, as_json: bool) -> None:
    """Print what is published at a place, for people or as JSON."""
    from flows.cli.console import print_aligned, print_json

    if as_json:
        print_json(result_json(result_at(sink), version))
        return
    print_aligned(list(result_lines(result_at(sink), version)))


def clean_result(sink: str, *, keep: int | None, dry_run: bool, as_json: bool = False) -> None:
    """Remove what runs have left at a place, and print it; with `dry_run`, only print it."""
    from flows.cli.console import print_aligned, print_json, print_text

    leftovers = clean_sink(sink, keep=keep, dry_run=dry_run)
    if as_json:
        print_json({"removed": not dry_run, "leftovers": [asdict(leftover) for leftover in leftovers]})
        return
    if leftovers:
        print_aligned(list(_lines(leftovers)))
    print_text(_total(leftovers, "Would remove" if dry_run else "Removed"))


def _total(leftovers: Sequence[Leftover], done: str) -> str:
    if not leftovers:
        return "There is nothing to remove."
    n_bytes = sum(leftover.n_bytes for leftover in leftovers)
    what = count_of(len(leftovers), "folder")
    return f"{done} {what}: {n_bytes:,} bytes ({size_text(n_bytes)})."


def _lines(leftovers: Sequence[Leftover]) -> Iterator[tuple[str, str, str, str]]:
    for leftover in leftovers:
        written = f"last written {leftover.modified.replace('T', ' ').replace('+00:00', ' UTC')}"
        yield leftover.what, leftover.name, size_text(leftover.n_bytes), written
