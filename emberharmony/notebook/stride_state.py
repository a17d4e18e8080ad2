"""The fitted models of a stride processor and the series that it continues, and both as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from emberharmony.io.store.arrays import by_prefix, prefixed
from emberharmony.notebook.entities import NO_ENTITIES
from emberharmony.pca import WindowPCA
from emberharmony.series import Segment
from emberharmony.typing import Arrays, FloatArray


@dataclass(frozen=True)
class FittedStride:
    """The model of one stride: of the rows as given, and of the rows less `shift`.

    Windows are computed in float32. Taking the columns' means away first leaves the digits to what varies.
    """

    pca: WindowPCA
    shifted: WindowPCA
    shift: FloatArray  # (n_features,)

    @classmethod
    def of(cls, shifted: WindowPCA, shift: FloatArray) -> FittedStride:
        """Return the model, given the one of the rows less `shift`."""
        return cls(replace(shifted, mean=shifted.mean + np.tile(shift, shifted.size)), shifted, shift)


@dataclass(frozen=True)
class Tail:
    """The last rows of an open series, which its next windows begin with."""

    start: int  # number of the first of them in the series
    rows: FloatArray  # (n_rows, n_features)
    entity: pa.Table = field(default_factory=lambda: NO_ENTITIES)  # a single row, or no columns

    @classmethod
    def of(cls, segment: Segment, shift: FloatArray, entity: pa.Table = NO_ENTITIES) -> Tail:
        """Return the tail, given the rows less `shift`."""
        return cls(segment.start, segment.block.T + shift, entity)

    def segment(self, shift: FloatArray) -> Segment:
        """Return the rows less `shift`."""
        return Segment(self.start, np.ascontiguousarray((self.rows - shift).astype(np.float32).T))


def state_arrays(fitted: Mapping[int, FittedStride], tail: Tail | None) -> Arrays:
    """Return the models, and the tail of the open series if there is one, as named arrays."""
    states: dict[str, Arrays] = {
        str(stride): {**model.shifted.to_arrays(), "shift": model.shift} for stride, model in fitted.items()
    }
    if tail is not None:
        entity = {"entity": _as_bytes(tail.entity)} if tail.entity.num_columns else {}
        states["tail"] = {"first": np.array([tail.start]), "rows": tail.rows, **entity}
    return prefixed(states)


def state_of_arrays(arrays: Arrays) -> tuple[dict[int, FittedStride], Tail | None]:
    """Return the models and the tail that `state_arrays` wrote."""
    states = by_prefix(arrays)
    tail = states.pop("tail", None)
    fitted = {int(stride): FittedStride.of(WindowPCA.from_arrays(state), state["shift"]) for stride, state in states.items()}
    if tail is None:
        return fitted, None
    entity = pa.ipc.open_stream(tail["entity"].tobytes()).read_all() if "entity" in tail else NO_ENTITIES
    return fitted, Tail(int(tail["first"][0]), tail["rows"], entity)


def _as_bytes(table: pa.Table) -> NDArray[np.uint8]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return np.frombuffer(sink.getvalue(), np.uint8)
