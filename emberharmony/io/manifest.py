"""The manifest: what was published, and the mark that all of it was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from emberharmony.errors import DataError
from emberharmony.io.store.address import child_address, without_query
from emberharmony.io.store.base import FileRecord, Store
from emberharmony.slices import FOLDER

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
_SHOWN = 3
PUBLISHED_TO = "state/bigquery.json"
"""File, beside the state, in which a sink names the tables of the result; named after the first sink that wrote one."""
KEEP_VERSIONS = 1
"""Earlier results that are kept unless a job says otherwise."""


def check_keep_versions(number: int) -> None:
    """Refuse a number of earlier results below zero.

    Raises
    ------
    ValueError
        If it is.
    """
    if number < 0:
        raise ValueError(f"`keep_versions` is at least 0, got {number}.")


@dataclass(frozen=True)
class WindowCounts:
    """The windows of one stride."""

    windows: Mapping[str, int]  # by split
    components: int
    explained_variance_ratio: tuple[float, ...]  # of the training windows
    applied_explained: float | None = None  # of the windows that a state is applied to, about the fitted mean
    clipped: int = 0  # scores beyond float32: its largest number in their place

    @property
    def n_windows(self) -> int:
        """Windows of all splits."""
        return sum(self.windows.values())

    @property
    def explained(self) -> float:
        """Share of the training windows' variance that all components hold together."""
        return sum(self.explained_variance_ratio)


@dataclass(frozen=True)
class Manifest:
    """Everything that a reader or a later run may want to know about a published result."""

    fingerprint: str
    created: str  # ISO 8601, UTC
    versions: Mapping[str, str]
    spec: Mapping[str, Any]
    source_rows: int
    null_times: int  # rows left out because they have no time
    left_out: int  # rows in the gaps between splits
    rows: Mapping[str, int]  # by split
    features: tuple[str, ...]
    features_by_kind: Mapping[str, int]
    dropped: Mapping[str, str]  # columns, and why
    schema: Mapping[str, str]  # of the feature parts
    strides: Mapping[str, WindowCounts]
    backends: Mapping[str, int]  # "name:device": chunk stages that it computed
    files: tuple[FileRecord, ...]
    applied_state: Mapping[str, str] = field(default_factory=dict)  # address and fingerprint of the state that was applied
    comparison: Mapping[str, Any] = field(default_factory=dict)
    """Of a fitted state with the one before it in a folder of states, see `emberharmony.pipeline.state_comparison`."""
    drift: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # of a state's columns, see features.drift
    drift_verdicts: Mapping[str, str] = field(default_factory=dict)  # of the same columns, see `features.drift.drift_verdict`
    expectations: tuple[Mapping[str, Any], ...] = ()
    """Verdicts on what the job expects of its rows, see `emberharmony.expectations.checks.Verdict`."""
    computed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by stage: "backend on host" -> chunks, "0-5,7"
    parity: Mapping[str, float] = field(default_factory=dict)  # chunks computed on NumPy too, and the largest difference
    nonfinite: Mapping[str, int] = field(default_factory=dict)  # by column: NaN and infinities in training, taken as missing
    clipped: Mapping[str, int] = field(default_factory=dict)  # by column: published values beyond float32, clipped to it
    series: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By split, in a job of many series with windows: how many, how many of them shorter than a window, and the longest."""
    shared_times: int = 0  # rows whose time another row of the table has too, in a job with windows
    key_changes: int = 0  # neighbouring rows of a split with other hash keys, in a job with windows
    context: Mapping[str, int] = field(default_factory=dict)
    """In a slice with a lookback: rows read from before it, and series with fewer of them than a window needs."""
    descriptions: Mapping[str, str] = field(default_factory=dict)  # of features: what each is, in the table's own words
    window_columns: Mapping[str, str] = field(default_factory=dict)  # what each column of the windows is; scores are left out
    created_by: str = ""  # user and host of the process that published
    keep_versions: int = KEEP_VERSIONS  # earlier results that stay beside this one
    registered: tuple[FileRecord, ...] = ()
    """Parts that the sink has registered in its tables: they are not in the folders of the result."""
    root: str = ""
    """Folder, below the result's, of the files under the names that they are kept by; empty on disks, see `file_name`."""
    serial: int = 0
    """Counts the writes of the manifest in a bucket, so that no two are equal."""
    version: int = MANIFEST_VERSION

    def file_name(self, file: FileRecord) -> str:
        """Return the name of a file below the folder of the result."""
        return f"{self.root}/{file.kept_as}" if self.root else file.name

    @property
    def n_rows(self) -> int:
        """Rows of all splits."""
        return sum(self.rows.values())

    @property
    def windows_by_stride(self) -> dict[str, int]:
        """Windows of all splits, by stride."""
        return {stride: counts.n_windows for stride, counts in self.strides.items()}

    @property
    def slice(self) -> str:
        """Name of the slice that it holds; empty for a result that is no slice."""
        return str((self.spec.get("slice") or {}).get("name", ""))

    @property
    def kind(self) -> str:
        """Kind of the job: ``extract``, ``fit`` or ``apply``."""
        return str(self.spec.get("kind", "extract"))

    @property
    def holds_rows(self) -> bool:
        """Whether features were published, rather than a fitted state alone."""
        return self.kind != "fit"

    def files_below(self, folder: str) -> tuple[FileRecord, ...]:
        """Files whose names begin with a folder, in the order of their rows."""
        return tuple(file for file in self.files if file.name.startswith(folder))

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any], /) -> Self:
        """Return the manifest that `to_json` made."""
        strides = {
            stride: WindowCounts(**{**counts, "explained_variance_ratio": tuple(counts["explained_variance_ratio"])})
            for stride, counts in data["strides"].items()
        }
        files, registered = (tuple(FileRecord(**file) for file in data.get(key, ())) for key in ("files", "registered"))
        features, expectations = (tuple(data.get(key, ())) for key in ("features", "expectations"))
        tuples = {"files": files, "registered": registered, "features": features, "expectations": expectations}
        return cls(**{**data, **tuples, "strides": strides})


def read_manifest(store: Store) -> Manifest | None:
    """Return the manifest of the result in a store, or ``None`` if nothing is published there.

    Raises
    ------
    DataError
        If it is damaged, or was written by another version of this format.
    """
    content = store.find(MANIFEST)
    if content is None:
        return None
    try:
        data = json.loads(content)
        version = data.get("version")
        if version == MANIFEST_VERSION:
            return Manifest.from_json(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).splitlines()[0][:100]
        raise DataError(f"{store.address_of(MANIFEST)} is damaged ({reason}). Publish again with --overwrite.") from error
    raise DataError(
        f"{store.address_of(MANIFEST)} has version {version!r:.50}, this library reads version {MANIFEST_VERSION}. "
        f"Publish again with --overwrite."
    )


def published_manifest(store: Store) -> Manifest:
    """Return the manifest of the result in a store.

    Raises
    ------
    DataError
        If nothing is published there, or the manifest is damaged.
    """
    manifest = read_manifest(store)
    if manifest is None:
        slices = [name for name in store.folders() if name.startswith(FOLDER)]
        if slices:
            raise DataError(
                f"{store.address} is a sink of slices, each of which is a result of its own. Name one of them, such as "
                f"{without_query(child_address(store.address, slices[-1]))}; `emberharmony slices` lists them."
            )
        raise DataError(
            f"Nothing is published at {store.address}. Name the `sink.path` of a job that `run` or `apply` has published."
        )
    return manifest


def places_of(published: Store) -> dict[str, str]:
    """Return the tables that a result was published to, by their names in it; none where that is not known."""
    try:
        places: dict[str, str] = published.find_json(PUBLISHED_TO) or {}
    except ValueError:
        return {}
    return places


def check_features(manifest: Manifest, address: str) -> None:
    """Refuse a result without files of features.

    Raises
    ------
    DataError
        If it has none; the message says why.
    """
    if not manifest.holds_rows:
        raise DataError(f"{address} holds no features: the job only fitted.")
    if manifest.registered:
        raise DataError(
            f"{address} holds no files of features and windows: its rows are in the tables that {PUBLISHED_TO} names."
        )


def check_windows(manifest: Manifest, address: str) -> None:
    """Refuse a result without files of windows.

    Raises
    ------
    DataError
        If it has none; the message says why.
    """
    if not manifest.holds_rows or not manifest.strides:
        reason = "asked for none" if manifest.holds_rows else "only fitted"
        raise DataError(f"{address} holds no windows: the job {reason}.")
    check_features(manifest, address)


def file_names(manifest: bytes) -> dict[str, str]:
    """Return where the files of a manifest of any version are below their result, by the names that they are published by.

    Examples
    --------
    >>> names = file_names(b'{"root": ".versions/a", "files": [{"name": "x.json", "n_bytes": 1, "sha256": "e3b0c442"}]}')
    >>> names["x.json"]
    '.versions/a/x-e3b0c442.json'
    """
    try:
        data = json.loads(manifest)
        root = str(data.get("root", ""))
        names = {file["name"]: FileRecord(**file).kept_as for file in data["files"]} | {PUBLISHED_TO: PUBLISHED_TO}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {name: f"{root}/{kept}" for name, kept in names.items()} if root else {}


def other_result(address: str, manifest: Manifest, fingerprint: str) -> DataError:
    """The error for a place that holds the result of another job, for one of this fingerprint."""
    return DataError(
        f"{address} holds the result of another job or of other data (fingerprint {manifest.fingerprint}, this one is "
        f"{fingerprint}). Choose another `sink.path`, or replace it with --overwrite."
    )


def damaged_result(address: str, names: Sequence[str]) -> DataError:
    """The error for a published result of which some files are missing or changed."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return DataError(
        f"{address} holds this result, and it was damaged since it was published: {', '.join(names[:_SHOWN])}{more} "
        f"{'is' if len(names) == 1 else 'are'} missing or changed. Publish it again with --overwrite."
    )
