"""Addresses of files and folders: paths of this machine, and prefixes of buckets such as ``s3://bucket/features``.

An address is one string, wherever a job reads or writes, so that it travels in job files, parameters and references alike.
What the environment of a worker does not say about a bucket stands in its query: ``s3://bucket/out?region=eu-west-1``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import parse_qsl, quote, urlencode

from emberharmony.errors import PlanError

SCHEMES: Mapping[str, str] = {"s3": "s3", "s3a": "s3", "gs": "gs", "az": "az"}
"""Schemes of buckets as people write them, and as their clients are called."""

OPTIONS: Mapping[str, str] = {
    "endpoint": "address of the server, for an endpoint of your own: http://127.0.0.1:9000",
    "region": "region of the bucket",
    "account": "storage account, of Azure",
    "block": "Prefect block of type Secret that holds the credentials",
    "anonymous": "true for a public bucket, which is read without credentials",
}
"""What the query of an address may say, and what each means."""

_BUCKET = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<bucket>[^/?]*)/?(?P<key>[^?]*)(\?(?P<query>.*))?", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]")
_SECRET = re.compile(r"key|secret|token|password|credential|sig|sas", re.IGNORECASE)


@dataclass(frozen=True)
class BucketAddress:
    """A prefix of a bucket, or one object in it."""

    scheme: str  # a value of SCHEMES
    bucket: str
    key: str = ""  # without a slash at either end
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, address: str) -> Self:
        """Return the parts of an address.

        Raises
        ------
        PlanError
            If it is none of a bucket, or holds something that does not belong there, such as a key.

        Examples
        --------
        >>> BucketAddress.parse("s3://lake/flights/2013/?region=eu-west-1")
        BucketAddress(scheme='s3', bucket='lake', key='flights/2013', options=(('region', 'eu-west-1'),))
        >>> BucketAddress.parse("s3://lake/flights?secret_key=x")
        Traceback (most recent call last):
        emberharmony.errors.PlanError: The address s3://lake/flights holds secret_key. Credentials have no place ...
        """
        match = _BUCKET.fullmatch(address)
        scheme = SCHEMES.get(match["scheme"].lower()) if match else None
        if match is None or scheme is None:
            raise PlanError(f"{without_query(address)!r} is no address of a bucket: those begin with s3://, gs:// or az://.")
        options = tuple(parse_qsl(match["query"] or "", keep_blank_values=True))
        _check_options(without_query(address), dict(options))
        if not _NAME.fullmatch(match["bucket"]):
            raise PlanError(
                f"{without_query(address)!r} names no bucket: write {scheme}://, the bucket's name, and a prefix, as in "
                f"{scheme}://my-bucket/features."
            )
        key = "/".join(part for part in match["key"].split("/") if part)
        if any(part in (".", "..") for part in key.split("/")):
            raise PlanError(f"{without_query(address)!r} has a part '.' or '..', which a bucket does not know. Write it out.")
        return cls(scheme, match["bucket"], key, options)

    @staticmethod
    def is_within(address: str, folder: str) -> bool:
        """Whether an address is a prefix of a bucket or lies below it; their options do not matter.

        Examples
        --------
        >>> BucketAddress.is_within("s3://lake/out/state", "s3://lake/out?region=eu-west-1")
        True
        >>> BucketAddress.is_within("s3://lake/output", "s3://lake/out"), BucketAddress.is_within("data", "s3://lake/out")
        (False, False)
        """
        if not is_bucket(address) or not is_bucket(folder):
            return False
        inner, outer = BucketAddress.parse(address), BucketAddress.parse(folder)
        below = f"{inner.key}/".startswith(f"{outer.key}/") or not outer.key
        return (inner.scheme, inner.bucket) == (outer.scheme, outer.bucket) and below

    @property
    def root(self) -> BucketAddress:
        """The address of the whole bucket."""
        return BucketAddress(self.scheme, self.bucket, "", self.options)

    @property
    def shown(self) -> str:
        """The address without its query, for messages.

        Examples
        --------
        >>> BucketAddress("gs", "lake", "out", (("endpoint", "http://127.0.0.1:9"),)).shown
        'gs://lake/out'
        """
        return f"{self.scheme}://{self.bucket}/{self.key}".rstrip("/")

    def __str__(self) -> str:
        query = urlencode(self.options, safe=":/", quote_via=quote)
        return f"{self.shown}?{query}" if query else self.shown

    def __truediv__(self, name: str) -> BucketAddress:
        return BucketAddress(self.scheme, self.bucket, self.key_of(name), self.options)

    def key_of(self, name: str) -> str:
        """Key of what is called `name` below this prefix.

        Examples
        --------
        >>> BucketAddress("s3", "lake", "out").key_of("features")
        'out/features'
        """
        return f"{self.key}/{name}".strip("/")


def is_bucket(address: str) -> bool:
    """Whether an address is one of a bucket.

    Examples
    --------
    >>> is_bucket("gs://lake/out"), is_bucket("data/out"), is_bucket("file:///data/out")
    (True, False, False)
    """
    scheme, separator, _ = address.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def child_address(address: str, name: str) -> str:
    """Return the address of what is called `name` below an address.

    Examples
    --------
    >>> child_address("data/out", "features")
    'data/out/features'
    >>> child_address("s3://lake/out?region=eu-west-1", "features")
    's3://lake/out/features?region=eu-west-1'
    """
    return str(BucketAddress.parse(address) / name) if is_bucket(address) else f"{address.rstrip('/')}/{name}"


def parent_address(address: str) -> tuple[str, str]:
    """Return the address of the folder that an address lies in, and its name there; the root of a bucket has no name.

    Examples
    --------
    >>> parent_address("data/states/2026-11-23/"), parent_address("latest")
    (('data/states', '2026-11-23'), ('.', 'latest'))
    >>> parent_address("s3://lake/states/latest?region=eu-west-1")
    ('s3://lake/states?region=eu-west-1', 'latest')
    """
    if is_bucket(address):
        own = BucketAddress.parse(address)
        key, _, name = own.key.rpartition("/")
        return str(replace(own, key=key)), name
    folder, separator, name = address.rstrip("/").rpartition("/")
    return folder or separator or ".", name


def without_query(address: str) -> str:
    """Return an address without its query, for messages.

    Examples
    --------
    >>> without_query("s3://lake/out?region=eu-west-1")
    's3://lake/out'
    >>> without_query("data/what?.parquet")
    'data/what?.parquet'
    """
    return address.partition("?")[0] if "://" in address else address


def _check_options(shown: str, options: Mapping[str, str]) -> None:
    if "@" in options.get("endpoint", ""):
        raise PlanError(f"The endpoint of {shown} holds a user or a password. Give credentials in the worker's environment.")
    for name, value in options.items():
        if name not in OPTIONS and _SECRET.search(name):
            raise PlanError(
                f"The address {shown} holds {name}. Credentials have no place in an address: they would reach logs and "
                f"manifests. Set them in the worker's environment, or keep them in a Prefect block of type Secret and name "
                f"it: {shown}?block=NAME."
            )
        if name not in OPTIONS:
            known = "; ".join(f"{option}: {meaning}" for option, meaning in OPTIONS.items())
            raise PlanError(f"The address {shown} holds {name!r}, which is not known. Its query may hold: {known}.")
        if not value:
            raise PlanError(f"The address {shown} gives {name} no value.")
        if _ends_in_path(name, value):
            raise PlanError(
                f"The address {shown} gives {name} the value {value!r}, which ends in a path. The query is the end of an "
                f"address, so nothing can be appended to it: write the path before the question mark, or give {name} in the "
                f"worker's environment."
            )
    endpoint = options.get("endpoint")
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise PlanError(f"The endpoint of {shown} is {endpoint!r}: it begins with https:// (or http://, for a test server).")


def _ends_in_path(option: str, value: str) -> bool:
    """Whether a name was appended to the query, as `$PREFIX/name` does; an endpoint may have a path, but ends in no file."""
    return value.lower().endswith(".parquet") if option == "endpoint" else "/" in value
