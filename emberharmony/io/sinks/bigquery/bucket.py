"""Files in Cloud Storage, which load jobs read: written there, and removed again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, NamedTuple
from urllib.parse import urlsplit

from emberharmony.io.bigquery.connection import BigQueryConnection, Clients, library, shared_clients
from emberharmony.io.bigquery.failures import google_errors, raise_explained
from emberharmony.io.store.objects import ConditionFailedError, ObjectInfo, Revision

_LOGGER = logging.getLogger(__name__)
_THREADS: Final = 8


class Address(NamedTuple):
    """A place in Cloud Storage.

    Examples
    --------
    >>> Address.parse("gs://my-bucket/runs/1.parquet")
    Address(bucket='my-bucket', name='runs/1.parquet')
    """

    bucket: str
    name: str

    @classmethod
    def parse(cls, uri: str) -> Address:
        """Read a gs:// address."""
        parts = urlsplit(uri)
        return cls(parts.netloc, parts.path.removeprefix("/"))

    def __str__(self) -> str:
        """The gs:// address."""
        return f"gs://{self.bucket}/{self.name}"


def check_writable(clients: Clients, uri: str) -> None:
    """Refuse a bucket that is not there, and warn of one that this account seems not to write to."""
    at = Address.parse(uri)
    wanted = "storage.objects.create"
    try:
        held = clients.storage.bucket(at.bucket).test_iam_permissions(
            [wanted], timeout=clients.silence_s, retry=_retry(clients)
        )
    except google_errors() as error:
        raise_explained(error, doing=f"Looking up {at}", permission=wanted, bucket=at.bucket)
    if wanted not in held:
        # No error: it may be granted for names that begin in some way.
        _LOGGER.warning(
            "This account does not hold %s on the whole of bucket %r; writing there may be refused.", wanted, at.bucket
        )


class CloudObjects:
    """The objects of a bucket in Cloud Storage; see the protocol `emberharmony.io.store.objects.Objects`.

    By Google's own client, which takes the connection's credentials and address.
    """

    answers_late = True

    def __init__(self, connection: BigQueryConnection, bucket: str) -> None:
        self._connection = connection
        self._bucket = bucket

    def put(self, key: str, content: bytes | memoryview | BinaryIO, *, only_if: Revision | None = None) -> Revision:
        """Write an object; see `Objects.put`."""
        condition = {} if only_if is None else {"if_generation_match": int(only_if or 0)}
        blob = self._blob(key)
        with self._translated(key, "Writing", "storage.objects.create"):
            if isinstance(content, bytes | memoryview):
                blob.upload_from_string(bytes(content), **condition, **self._settings)
            else:
                blob.upload_from_file(content, rewind=True, **condition, **self._settings)
        return _revision(blob)

    def get(self, key: str) -> tuple[bytes, Revision] | None:
        """Return an object's content and revision; ``None`` if there is none."""
        blob = self._found(key)
        if blob is None:
            return None
        revision = _revision(blob)  # the download sets that of its answer, if this says one
        with self._translated(key, "Reading", "storage.objects.get"):
            return blob.download_as_bytes(**self._settings), revision

    def get_range(self, key: str, start: int, stop: int, *, revision: Revision | None = None) -> bytes | memoryview:
        """Return a range of an object; see `Objects.get_range`."""
        if stop <= start:
            return b""
        condition = {} if revision is None else {"if_generation_match": int(revision)}
        with self._translated(key, "Reading", "storage.objects.get"):
            content: bytes = self._blob(key).download_as_bytes(start=start, end=stop - 1, **condition, **self._settings)
        return content

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object; ``None`` if there is none."""
        blob = self._found(key)
        return None if blob is None else _info(blob)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects whose keys begin with a path."""
        with self._translated(prefix, "Listing", "storage.objects.list"):
            yield from map(_info, self._client.list_blobs(self._bucket, prefix=f"{prefix}/", **self._settings))

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the names of the folders right below a prefix."""
        with self._translated(prefix, "Listing", "storage.objects.list"):
            found = self._client.list_blobs(self._bucket, prefix=f"{prefix}/", delimiter="/", **self._settings)
            for _ in found:  # the names come with the pages
                pass
            return sorted(folder.rstrip("/").rpartition("/")[2] for folder in found.prefixes)

    def delete(self, keys: Sequence[str] | Iterable[str]) -> None:
        """Remove objects; keys without an object are passed over."""
        for key in keys:
            _remove(self._blob(key), self._settings)

    @property
    def _clients(self) -> Clients:
        return shared_clients(self._connection)

    @property
    def _client(self) -> Any:
        return self._clients.storage

    @property
    def _settings(self) -> dict[str, Any]:
        return {"timeout": self._clients.silence_s, "retry": _retry(self._clients)}

    def _blob(self, key: str) -> Any:
        return self._client.bucket(self._bucket).blob(key)

    def _found(self, key: str) -> Any | None:
        with self._translated(key, "Looking up", "storage.objects.get"):
            return self._client.bucket(self._bucket).get_blob(key, **self._settings)

    @contextmanager
    def _translated(self, key: str, doing: str, permission: str) -> Iterator[None]:
        from google.api_core import exceptions as api

        at = Address(self._bucket, key)
        try:
            yield
        except api.PreconditionFailed as error:
            raise ConditionFailedError(str(at)) from error
        except google_errors() as error:
            raise_explained(error, doing=f"{doing} {at}", permission=permission, bucket=self._bucket)


def _info(blob: Any) -> ObjectInfo:
    return ObjectInfo(blob.name, blob.size, _revision(blob), blob.updated)


def _revision(blob: Any) -> Revision:
    return Revision(str(blob.generation))


def remove_all(clients: Clients, uri: str) -> int:
    """Remove every file whose address begins like this; returns how many there were."""
    begin = Address.parse(uri)
    settings: dict[str, Any] = {"timeout": clients.silence_s, "retry": _retry(clients)}
    try:
        found = list(
            clients.storage.list_blobs(begin.bucket, prefix=begin.name, fields="items(name),nextPageToken", **settings)
        )
    except google_errors() as error:
        raise_explained(error, doing=f"Listing {begin}*", permission="storage.objects.list", bucket=begin.bucket)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="bigquery-remove") as pool:
        for future in [pool.submit(_remove, blob, settings) for blob in found]:
            future.result()
    return len(found)


def _remove(blob: Any, settings: dict[str, Any]) -> None:
    from google.api_core import exceptions as api

    try:
        blob.delete(**settings)
    except api.NotFound:
        return  # another worker, or a lifecycle rule, was faster
    except google_errors() as error:
        at = Address(blob.bucket.name, blob.name)
        raise_explained(error, doing=f"Removing {at}", permission="storage.objects.delete", bucket=at.bucket)


def _retry(clients: Clients) -> Any:
    return library("google.cloud.storage.retry").DEFAULT_RETRY.with_timeout(clients.retry.request_deadline_s)
