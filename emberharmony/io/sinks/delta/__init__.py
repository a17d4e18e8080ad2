"""Results as Delta tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emberharmony.io.sinks.delta.publish import DeltaSink
    from emberharmony.io.sinks.delta.spec import DeltaSinkSpec


def open_sink(spec: DeltaSinkSpec) -> DeltaSink:
    """Return the sink of Delta tables. Its modules are imported now, see `Vendor`."""
    from emberharmony.io.sinks.delta.publish import DeltaSink

    return DeltaSink(spec)
