"""The fitted state of a result: everything that another job needs to make the same features of other rows."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from emberharmony.arrow import is_text
from emberharmony.errors import DataError
from emberharmony.features.columns import ColumnRoles, FeatureColumn, unnested
from emberharmony.features.drift import Baseline
from emberharmony.features.kinds.categorical import FittedCategories
from emberharmony.features.kinds.registry import ENTRY_POINTS, kind_named, unknown_kinds
from emberharmony.features.preprocessing import Preprocessing
from emberharmony.features.profile import ColumnProfile
from emberharmony.features.table_types import type_differences
from emberharmony.io.manifest import MANIFEST, Manifest, read_manifest
from emberharmony.io.store.address import child_address, without_query
from emberharmony.io.store.arrays import by_prefix, from_safetensors
from emberharmony.io.store.base import FileRecord
from emberharmony.io.store.opening import open_store
from emberharmony.io.store.snapshot import Snapshot
from emberharmony.messages import listed
from emberharmony.pca import WindowPCA
from emberharmony.pipeline.fitted import FIT, FIT_PCA
from emberharmony.pipeline.run import Run
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.stats.categories import TopCategories
from emberharmony.threads import in_parallel

STATE_VERSION = 3
"""Version 3 keeps of each column what its kind has fitted; version 1 also held the source of the rows. All are read."""
_OLD_TEXT = re.compile(r"\.\d*0$|^-0$|E|e\+1[0-8]$")  # 1.50, -0, 1E-7, 1e+10: see `features.categorical.strings`
NO_SOURCE = {"source": {"path": "none"}}
"""Placeholder for the source in a state's spec; the job that applies the state names its own."""
JOB, BASELINE, PREPROCESSING, PCAS = "job.json", "baseline.json", "preprocessing.json", "pca.safetensors"


@dataclass(frozen=True)
class FittedState:
    """A state folder, read and checked."""

    files: Mapping[str, bytes]
    fingerprint: str  # of the run that fitted it
    spec: PipelineSpec
    preprocessing: Preprocessing
    schema: pa.Schema  # of the columns that features are made of, and those carried along
    target: str | None
    address: str = field(compare=False)  # where it was read

    @property
    def digest(self) -> str:
        """Hash of the whole state."""
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}
        return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def pcas(self) -> dict[int, WindowPCA]:
        """The fitted PCA of every stride.

        Raises
        ------
        DataError
            If they cannot be read.
        """
        try:
            states = by_prefix(from_safetensors(self.files[PCAS]))
            return {int(stride): WindowPCA.from_arrays(arrays) for stride, arrays in states.items()}
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise DataError(f"{self.address}: {PCAS} cannot be read ({error}); publish the state again.") from error

    @cached_property
    def baselines(self) -> dict[str, Baseline]:
        """Counts of the training rows of every fitted column.

        Raises
        ------
        DataError
            If they cannot be read.
        """
        try:
            return {name: Baseline.from_json(data) for name, data in json.loads(self.files[BASELINE]).items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{self.address}: {BASELINE} cannot be read ({error}); publish the state again.") from error

    @property
    def n_train_rows(self) -> int:
        """Rows that it was fitted on."""
        return max((baseline.counts.n_rows for baseline in self.baselines.values()), default=0)


def write_state(
    run: Run,
    fitted: Preprocessing,
    profiles: Mapping[str, ColumnProfile],
    categories: Mapping[str, TopCategories],
) -> list[FileRecord]:
    """Write the fitted preprocessing, the job that fitted it, and the baseline of drift; the PCAs are written later."""
    names = dict.fromkeys([*run.plan.roles.carried, *(column.name for column in fitted.columns)])
    schema = pa.schema([run.plan.schema.field(name) for name in names])
    job = {
        "version": STATE_VERSION,
        "fingerprint": run.plan.fingerprint,
        "spec": {key: value for key, value in run.plan.spec.to_json().items() if key != "source"},
        "target": run.plan.roles.target,
        "columns": {field.name: str(field.type) for field in schema},  # for people; the schema has all of it
        "schema": base64.b64encode(schema.serialize()).decode(),
    }
    baselines = {}
    for column in fitted.columns:
        top = categories.get(column.name, TopCategories())
        baselines[column.name] = kind_named(column.kind).baseline(profiles[column.name], column, top).to_json()
    store = run.store
    return [
        store.keep_json(f"state/{PREPROCESSING}", fitted.to_json()),
        store.keep_json(f"state/{JOB}", job),
        store.keep_json(f"state/{BASELINE}", baselines),
    ]


def read_state(folder: str | Path) -> FittedState:
    """Read the state of a published result, given by its path or address, or by those of the `state` folder in it.

    Raises
    ------
    DataError
        If nothing is published there, a file is damaged, or the state is of another version.
    """
    store = open_store(folder)
    manifest = read_manifest(store)
    below = "state/" if manifest is not None else ""
    names = (JOB, PREPROCESSING, PCAS, BASELINE)
    files = dict(zip(names, in_parallel(lambda name: store.find(f"{below}{name}"), names, store.readers), strict=True))
    if files[JOB] is None:
        known = "is not the folder of a published result, nor a state folder"
        if store.exists(f"state/{JOB}"):
            known = f"has a state and no {MANIFEST}: its run has not ended"
        elif manifest is not None:
            known = "was published by a version of this library whose states cannot be applied"
        raise DataError(
            f"{without_query(str(folder))} {known}. Name the `sink.path` of a job that `run` or `fit` has published."
        )
    contents = {name: content for name, content in files.items() if content is not None}
    for name in files:
        if name not in contents:
            raise DataError(f"{store.address_of(f'{below}{name}')} is missing; publish the state again.")
    if manifest is not None:
        _check_content(folder, contents, {file.name: file for file in manifest.files})
    return _parsed(child_address(str(folder), "state") if below else str(folder), contents, str(folder))


def holds_state(manifest: Manifest) -> bool:
    """Whether a state that can be applied is among the files of a result."""
    return any(file.name == f"state/{JOB}" for file in manifest.files)


def published_state(snapshot: Snapshot) -> FittedState:
    """Return the state of a result that is open.

    Raises
    ------
    DataError
        If a file is missing or damaged, or the state is of a version that cannot be applied.
    """
    records = {file.name: file for file in snapshot.manifest.files}
    place = snapshot.address
    if f"state/{JOB}" not in records:
        raise DataError(f"{place} was published by a version of this library whose states cannot be applied.")
    names = [name for name in (JOB, PREPROCESSING, PCAS, BASELINE) if f"state/{name}" in records]
    files = {name: snapshot.get(records[f"state/{name}"]) for name in names}
    _check_content(place, files, records)
    return _parsed(f"{place}/state", files, place)


def stage_state(state: FittedState, run: Run) -> list[FileRecord]:
    """Copy the state into a run, where its stages look for fitted numbers."""
    return [run.store.keep(f"state/{name}", content) for name, content in state.files.items()]


def staged_state(run: Run) -> FittedState:
    """Return the state that a run has fitted and not yet published.

    Raises
    ------
    DamagedError
        If a file of it is missing or was changed.
    """
    fitted, pcas = run.receipts.of(FIT, 0), run.receipts.of(FIT_PCA, 0)
    records = {name: fitted.record(f"state/{name}") for name in (JOB, PREPROCESSING, BASELINE)}
    records[PCAS] = pcas.record(f"state/{PCAS}")
    for record in records.values():
        run.store.check(record)
    address = run.store.address
    return _parsed(address, {name: run.store.get(record) for name, record in records.items()}, address)


def roles_in(state: FittedState, schema: pa.Schema) -> ColumnRoles:
    """Return the roles of a table's columns for a state. The target may be missing; columns that the state lacks are ignored.

    Raises
    ------
    DataError
        If a column is missing, or is of another type; the message names all of them.
    """
    columns = state.spec.columns
    required = {columns.time, *columns.entities}
    wrong = type_differences(state.schema, schema, optional={state.target}, required=required)
    if wrong:
        raise DataError(
            f"The table is not like the one that the state was fitted on (fingerprint {state.fingerprint}): "
            f"{listed(wrong, by='; ')}. Bring it back to that schema, or fit a new state on tables like this one."
        )
    fitted = state.preprocessing
    return ColumnRoles(
        features=tuple(FeatureColumn(column.name, column.kind) for column in fitted.columns),
        time=columns.time,
        target=state.target if state.target in schema.names else None,
        passthrough=unnested(columns.passthrough, state.schema),
        dropped=fitted.dropped,
        entity=columns.entities,
    )


def _check_content(folder: str | Path, files: Mapping[str, bytes], records: Mapping[str, FileRecord]) -> None:
    for name, content in files.items():
        record = records.get(f"state/{name}")
        if record is not None and hashlib.sha256(content).hexdigest() != record.sha256:
            place = without_query(child_address(str(folder), f"state/{name}"))
            raise DataError(
                f"{place} is not what its run published: it was changed, or another run is publishing there right now. Try "
                f"again; if the error stays, publish the state again."
            )


def _check_kinds(place: str, job: Mapping[str, Any], preprocessing: Mapping[str, Any]) -> None:
    """Refuse a state with columns of kinds that no package here adds."""
    kinds = {column["name"]: column["kind"] for column in preprocessing["columns"]}
    kinds |= job["spec"].get("columns", {}).get("kinds", {})
    unknown = unknown_kinds(kinds.values())
    if unknown:
        columns = listed([f"{name!r} ({kind})" for name, kind in kinds.items() if kind in unknown])
        raise DataError(
            f"{place} has columns of kinds that are not installed here: {columns}. Install the package that adds them, on "
            f"every worker; it declares them as entry points of the group {ENTRY_POINTS!r}."
        )


def _parsed(place: str, files: Mapping[str, bytes], address: str) -> FittedState:
    place = without_query(place)
    try:
        job: dict[str, Any] = json.loads(files[JOB])
        if job.get("version") not in (1, 2, STATE_VERSION):
            raise DataError(
                f"{place}/{JOB} is of version {job.get('version')}, this library applies version {STATE_VERSION}. Fit the "
                f"state again."
            )
        preprocessing: dict[str, Any] = json.loads(files[PREPROCESSING])
        _check_kinds(place, job, preprocessing)
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(job["schema"])))
        spec, fitted = (
            PipelineSpec.from_json(job["spec"] | NO_SOURCE),
            Preprocessing.from_json(preprocessing),
        )
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(f"{place} cannot be read as a state ({error}); publish it again.") from error
    _refuse_old_texts(place, schema, fitted)
    return FittedState(files, job["fingerprint"], spec, fitted, schema, job["target"], address)


def _refuse_old_texts(place: str, schema: pa.Schema, fitted: Preprocessing) -> None:
    """Refuse a state whose numeric categories are written as this library no longer writes them."""
    for column in fitted.columns:
        type_ = schema.field(column.name).type
        if not isinstance(column, FittedCategories) or is_text(type_.value_type if pt.is_dictionary(type_) else type_):
            continue
        for value in filter(_OLD_TEXT.search, column.vocabulary):
            raise DataError(
                f"{place} was fitted by a version that wrote numeric categories differently ({value!r} of column "
                f"{column.name!r}), so it would not recognise them. Fit a new state."
            )
