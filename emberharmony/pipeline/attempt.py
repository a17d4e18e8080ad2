"""The attempt of a run that is at work: noted in its store, for others who look at it from elsewhere."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from platform import node
from typing import Self

from emberharmony.io.store.base import Store

ATTEMPT = "attempt.json"


@dataclass(frozen=True)
class Attempt:
    """By whom and how a run is being done; each attempt replaces the note of the one before."""

    engine: str
    backend: str
    workers: int
    host: str
    process: int
    began: str
    """ISO 8601, UTC, by the clock of the host that runs the job."""

    @classmethod
    def now(cls, engine: str, backend: str, workers: int) -> Self:
        """Return the attempt of this process, which begins now."""
        return cls(engine, backend, workers, node(), os.getpid(), datetime.now(UTC).isoformat(timespec="milliseconds"))

    @property
    def began_at(self) -> float:
        """When it began, in seconds since 1970."""
        return datetime.fromisoformat(self.began).timestamp()

    def write(self, store: Store) -> None:
        """Note it in a run's store."""
        store.write_json(ATTEMPT, asdict(self))

    @classmethod
    def read(cls, store: Store) -> Self | None:
        """Return the attempt that is noted in a run's store; ``None`` if none is, or another version has noted it.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from emberharmony.io.store.local import LocalStore
        >>> with TemporaryDirectory() as folder:
        ...     store = LocalStore(Path(folder))
        ...     attempt = Attempt.now("local", "numpy:cpu", 2)
        ...     attempt.write(store)
        ...     Attempt.read(store) == attempt
        True
        """
        with suppress(ValueError, TypeError):
            if (noted := store.find_json(ATTEMPT)) is not None:
                return cls(**noted)
        return None
