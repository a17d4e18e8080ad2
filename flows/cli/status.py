"""What is going on at a sink, in the console."""

from __future__ import annotations

import json
import time
from typing import Final

from emberharmony.pipeline.run_status import SinkStatus, StatusReader
from emberharmony.report.status_lines import status_json, status_lines
from flows.engines.interrupt import stoppable

WATCH_S: Final = 5.0
"""Seconds between two looks at a run; each lists the receipts of one stage."""


def show_status(sink: str, *, as_json: bool, watch: bool) -> None:
    """Print what is going on at a sink; with `watch`, again and again until no run is at work there."""
    reader = StatusReader(sink)
    status = reader.read()
    if watch and status.is_at_work:
        with stoppable("Stopped watching. The run goes on."):
            status = _watched(reader, status, as_json=as_json)
    _print(status, as_json=as_json, indent=None if watch else 1)


def _print(status: SinkStatus, *, as_json: bool, indent: int | None) -> None:
    from flows.cli.console import print_table, print_text

    if as_json:
        print_text(json.dumps(status_json(status), indent=indent, ensure_ascii=False))
        return
    print_table(list(status_lines(status)))


def _watched(reader: StatusReader, status: SinkStatus, *, as_json: bool) -> SinkStatus:
    """Show one status after another, in place in a terminal; returns the first one without a run at work."""
    from flows.cli.console import drawn_in_place

    with drawn_in_place() as draw:
        while status.is_at_work:
            if draw is not None and not as_json:
                draw(list(status_lines(status)))
            else:
                _print(status, as_json=as_json, indent=None)
            time.sleep(WATCH_S)
            status = reader.read()
    return status
