"""Files in Cloud Storage, which load jobs read: written there, and removed again."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from emberharmony.io.bigquery.connection import Clients, library
from emberharmony.io.bigquery.failures import google_errors, raise_explained

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


def upload(clients: Clients, path: Path, uri: str) -> None:
    """Copy a file to a gs:// address, in place of what is there."""
    to = Address.parse(uri)
    blob = clients.storage.bucket(to.bucket).blob(to.name)
    try:
        # The content is a function of the name, so that writing it again is harmless.
        blob.upload_from_filename(str(path), timeout=clients.silence_s, retry=_retry(clients))
    except google_errors() as error:
        raise_explained(error, doing=f"Writing {to}", permission="storage.objects.create", bucket=to.bucket)


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
