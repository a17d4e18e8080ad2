"""Who holds a result's place: what its lock or lease says, for others who only look."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from platform import node
from typing import Any, Final, Self

_CLOCK_S: Final = 2.0
"""How far the start of a process and what it wrote of it may differ."""


@dataclass(frozen=True)
class Holder:
    """A run that holds a place, or did when it was killed."""

    process: int | None
    """``None``: it has just begun, and has not written who it is."""
    host: str
    since: str
    """When it took the place, such as ``2026-11-28 23:04:05 UTC``."""
    is_alive: bool | None
    """``None``: it works on another host, and gives no signs of life but its results."""
    silent_s: float | None = None
    """Seconds since its last sign of life, by the clocks of this host and the store; ``None`` if it gives none."""

    @classmethod
    def of_lock(cls, content: bytes) -> Self:
        """Return the holder that a lock file on a disk or share names.

        Examples
        --------
        >>> Holder.of_lock(b'{"process": 1, "host": "elsewhere", "since": "2026-11-28 23:04:05 UTC"}')
        Holder(process=1, host='elsewhere', since='2026-11-28 23:04:05 UTC', is_alive=None, silent_s=None)
        """
        known = _fields(content)
        process, host, since = known.get("process"), str(known.get("host", "")), str(known.get("since", ""))
        if not isinstance(process, int):
            return cls(None, host, since, None)
        return cls(process, host, since, _is_running(process, since) if host == node() else None)

    def __str__(self) -> str:
        """Name it."""
        if self.process is None:
            return "a process that has just begun"
        return f"process {self.process} on {self.host}, since {self.since}"


def _fields(content: bytes) -> dict[str, Any]:
    try:
        known = json.loads(content)
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def _is_running(process: int, since: str) -> bool:
    """Whether a process of this host is the one that wrote its number at that moment, and not a later one of that number."""
    import psutil  # late: only who looks at a run needs it

    try:
        began = psutil.Process(process).create_time()
        return began <= datetime.fromisoformat(since.replace(" UTC", "+00:00")).timestamp() + _CLOCK_S
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, ValueError):
        return True
