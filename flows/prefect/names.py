"""Names by which Prefect shows a result: of its flow runs, of its artifacts, and as a resource of events."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from emberharmony.io.store.address import without_query

if TYPE_CHECKING:
    from flows.config.job import AnyJob

MAX_PLACE_CHARS = 48
"""Longest text for a sink in the key of an artifact."""
DIGEST_CHARS = 8
_SHOWN_PARTS = 2


@dataclass(frozen=True)
class ResultName:
    """A result as Prefect knows it: the address of its sink, without credentials or options, and its slice.

    Examples
    --------
    >>> name = ResultName("s3://lake/Flights/features", "2026-11-28")
    >>> name.title("apply")
    'apply features 2026-11-28'
    >>> name.artifact_key("drift")
    'drift-flights-features-73d79a09-2026-11-28'
    """

    uri: str
    slice_name: str = ""

    @classmethod
    def of(cls, job: AnyJob) -> Self:
        """Return the name of the result that a job publishes."""
        return cls(uri_of(job.sink.path), slice_of(job))

    def title(self, flow: str) -> str:
        """Name of a flow run: the flow, the last part of the sink's address, and the slice."""
        return " ".join(filter(None, [flow, self.uri.rpartition("/")[2], self.slice_name]))

    def artifact_key(self, kind: str) -> str:
        """Key of an artifact: the same for every run of this sink and slice, and for no other.

        It holds lower case letters, digits and dashes. The digest tells sinks apart whose addresses end alike.
        """
        place = _slug("-".join(self.uri.split("/")[-_SHOWN_PARTS:]))[-MAX_PLACE_CHARS:].strip("-")
        digest = hashlib.sha256(self.uri.encode()).hexdigest()[:DIGEST_CHARS]
        return "-".join(filter(None, [kind, place, digest, _slug(self.slice_name)]))


def uri_of(address: str) -> str:
    """Return the address of a sink or source as a URI, without the query, which holds options.

    All slices have the same: the part of the address before ``{slice}``.

    Examples
    --------
    >>> uri_of("s3://lake/out/?region=eu-west-1"), uri_of("/data/out"), uri_of("/data/day={slice}/out")
    ('s3://lake/out', 'file:///data/out', 'file:///data')
    """
    shown = shown_address(re.split(r"/[^/]*\{", address)[0])
    return shown if "://" in shown else f"file://{shown}"


def shown_address(address: str) -> str:
    """Return the address or the absolute path of a sink, without the query.

    Examples
    --------
    >>> shown_address("s3://lake/out/?region=eu-west-1"), shown_address("/data/out")
    ('s3://lake/out', '/data/out')
    """
    return without_query(address).rstrip("/") if "://" in address else Path(address).absolute().as_posix()


def slice_of(job: AnyJob) -> str:
    """Return the name of the slice that a job publishes; empty if it publishes a whole result."""
    return job.slice or ""


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
