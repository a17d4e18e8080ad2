"""The objects of a bucket in S3, Google Cloud Storage or Azure, by way of obstore."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

from emberharmony.io.store.address import BucketAddress
from emberharmony.io.store.clients import client_of, translated
from emberharmony.io.store.objects import ABSENT, ConditionFailedError, ObjectInfo, Revision

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Client

PART_BYTES = 8 * 2**20
"""Size of the parts in which large objects are uploaded."""
MAX_UPLOADS = 4
"""Parts of one object that are uploaded at the same time."""
_INFOS_PER_PAGE = 1000


class Bucket:
    """The objects of one bucket; see the protocol `emberharmony.io.store.objects.Objects`."""

    answers_late = True

    def __init__(self, address: BucketAddress) -> None:
        self._address = address.root

    @cached_property
    def _client(self) -> Client:
        # Asked for before anything of obstore is imported: without the library, its error says how to install it.
        return client_of(self._address)

    def put(self, key: str, content: bytes | memoryview | BinaryIO, *, only_if: Revision | None = None) -> Revision:
        """Write an object; see `Objects.put`."""
        client = self._client
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with translated(self._shown(key)):
            try:
                if only_if is None:
                    done = obstore.put(client, key, content, chunk_size=PART_BYTES, max_concurrency=MAX_UPLOADS)
                else:
                    mode: Any = "create" if only_if == ABSENT else _condition(only_if)
                    done = obstore.put(client, key, content, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                raise ConditionFailedError(self._shown(key)) from None
        return _revision(done)

    def get(self, key: str) -> tuple[bytes, Revision] | None:
        """Return an object's content and revision; ``None`` if there is none."""
        client = self._client
        import obstore

        with translated(self._shown(key)):
            try:
                found = obstore.get(client, key)
                return bytes(found.bytes()), _revision(found.meta)
            except FileNotFoundError as error:
                _check_bucket(error)
                return None

    def get_range(self, key: str, start: int, stop: int, *, revision: Revision | None = None) -> bytes | memoryview:
        """Return a range of an object; see `Objects.get_range`."""
        client = self._client
        import obstore
        from obstore.exceptions import PreconditionError

        if stop <= start:
            return b""
        options: Any = {"range": (start, stop)}
        if revision is not None and (etag := revision.partition(" ")[2]):
            options["if_match"] = etag
        with translated(self._shown(key)):
            try:
                return memoryview(obstore.get(client, key, options=options).bytes())
            except PreconditionError:
                raise ConditionFailedError(self._shown(key)) from None

    def info(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object; ``None`` if there is none."""
        client = self._client
        import obstore

        with translated(self._shown(key)):
            try:
                return _info(obstore.head(client, key))
            except FileNotFoundError:  # without a body, a missing bucket looks the same
                return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects whose keys begin with a path."""
        client = self._client
        import obstore

        with translated(self._shown(prefix)):
            for page in obstore.list(client, prefix or None, chunk_size=_INFOS_PER_PAGE):
                yield from map(_info, page)

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the names of the folders right below a prefix."""
        client = self._client
        import obstore

        with translated(self._shown(prefix)):
            found = obstore.list_with_delimiter(client, prefix or None)["common_prefixes"]
        return sorted(folder.rstrip("/").rpartition("/")[2] for folder in found)

    def delete(self, keys: Sequence[str] | Iterable[str]) -> None:
        """Remove objects."""
        client = self._client
        import obstore

        listed = list(keys)
        if not listed:
            return
        with translated(self._shown(listed[0])):
            try:
                obstore.delete(client, listed)  # in requests of many keys, where the cloud has such
            except FileNotFoundError as error:
                # S3 does not mind a missing object. Elsewhere it ends the call, and other objects may be left.
                _check_bucket(error)
                for key in listed:
                    with suppress(FileNotFoundError):
                        obstore.delete(client, key)

    def _shown(self, key: str) -> str:
        return (self._address / key).shown


def _revision(meta: Mapping[str, Any]) -> Revision:
    """The generation and the ETag; either may be missing, and neither holds a space."""
    return Revision(f"{meta.get('version') or ''} {meta.get('e_tag') or ''}")


def _condition(revision: Revision) -> dict[str, str]:
    version, _, etag = revision.partition(" ")
    return {name: value for name, value in (("e_tag", etag), ("version", version)) if value}


def _info(meta: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], _revision(meta), meta["last_modified"])


def _check_bucket(error: FileNotFoundError) -> None:
    """Raise if it is the bucket that is missing."""
    if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
        raise error
