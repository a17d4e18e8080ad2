"""What the store over a bucket asks of the bucket: whole objects under keys, with conditions on their revisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, NewType, Protocol

Revision = NewType("Revision", str)
"""Names one state of an object: its ETag, and its generation where the cloud has one. Only for comparison."""

ABSENT = Revision("")
"""The condition that there is no object of that key."""


class ConditionFailedError(Exception):
    """The object is not in the state that a conditional call names. Callers of a store never see this error."""


@dataclass(frozen=True)
class ObjectInfo:
    """What a bucket says of an object without its content."""

    key: str
    n_bytes: int
    revision: Revision
    modified: datetime | None = None


class Objects(Protocol):
    """The objects of one bucket. Each call is atomic, and readers see what was written before.

    Raises
    ------
    TransientError
        By every method, if the bucket gives no answer for now. A call that writes may have been carried out all the same.
    TerminalError
        By every method, if the bucket refuses.
    """

    @property
    def answers_late(self) -> bool:
        """Whether a call mostly waits, so that several at a time take no longer than one."""
        ...

    def put(self, key: str, content: bytes | memoryview | BinaryIO, *, only_if: Revision | None = None) -> Revision:
        """Write an object; returns its new revision.

        Parameters
        ----------
        key : str
            Key of the object.
        content : bytes or binary file
            A file is uploaded in parts, and may not be combined with a condition.
        only_if : Revision, optional
            Write only if the object has this revision; `ABSENT`: only if there is none.

        Raises
        ------
        ConditionFailedError
            If it has another one.
        """
        ...

    def get(self, key: str) -> tuple[bytes, Revision] | None:
        """Return an object's content and revision; ``None`` if there is none."""
        ...

    def get_range(self, key: str, start: int, stop: int, *, revision: Revision | None = None) -> bytes | memoryview:
        """Return bytes ``[start, stop)`` of an object that exists.

        Raises
        ------
        ConditionFailedError
            If it has another revision than the given one.
        """
        ...

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object; ``None`` if there is none."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects whose keys begin with the path `prefix`, in the order of their keys."""
        ...

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the names of the folders right below a prefix, sorted."""
        ...

    def delete(self, keys: Sequence[str] | Iterable[str]) -> None:
        """Remove objects; keys without an object are passed over."""
        ...
