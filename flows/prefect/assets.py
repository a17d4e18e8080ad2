"""Results as Prefect assets: the sink is materialized from the table, and from the state that was applied.

The events are those of a task with `@materialize`; a server that has assets (Prefect Cloud) shows their lineage.
"""

from __future__ import annotations

import hashlib
import logging
import re

from prefect.assets import Asset
from prefect.context import AssetContext
from prefect.states import Completed
from prefect.types.names import MAX_ASSET_KEY_LENGTH, RESTRICTED_ASSET_CHARACTERS

from emberharmony.io.sources.base import SourceSpec
from emberharmony.pipeline.execute import RunResult
from flows.prefect.names import ResultName, uri_of

MAX_SOURCES = 10
"""Files and folders of the table that are named, at most."""

_log = logging.getLogger(__name__)
_RESTRICTED = re.compile(f"[{re.escape(''.join(RESTRICTED_ASSET_CHARACTERS))}]")


def materialize_sink(result: RunResult, name: ResultName, source: SourceSpec) -> None:
    """Tell the server that a result was made, and of what; an event that is lost is a warning.

    Properties are not set: those that people have given an asset would be overwritten.
    """
    manifest, key = result.manifest, asset_key(name.uri)
    read = [uri_of(address) for address in source.addresses[:MAX_SOURCES]]
    if state := manifest.applied_state.get("address"):
        read.append(uri_of(state))
    metadata = {"slice": name.slice_name, "fingerprint": manifest.fingerprint, "rows": manifest.n_rows}
    try:
        AssetContext(
            direct_asset_dependencies={Asset(key=asset_key(uri)) for uri in read},
            downstream_assets={Asset(key=key)},
            materialized_by="emberharmony",
            materialization_metadata={key: metadata},
        ).emit_events(Completed())
    except Exception as error:  # noqa: BLE001 - whatever it is, the result is published
        _log.warning("The asset %s was not registered: %s", key, error)


def asset_key(uri: str) -> str:
    """Return the key of an asset: the URI, without characters that a key may not have, and with a digest where it is cut.

    Examples
    --------
    >>> asset_key("s3://lake/out"), asset_key("file:///data/part-*[0-9] of 3.parquet")
    ('s3://lake/out', 'file:///data/part-*_0-9__of_3.parquet')
    """
    key = _RESTRICTED.sub("_", uri)
    digest = hashlib.sha256(uri.encode()).hexdigest()[:8]
    return key if len(key) <= MAX_ASSET_KEY_LENGTH else f"{key[: MAX_ASSET_KEY_LENGTH - 9]}-{digest}"
