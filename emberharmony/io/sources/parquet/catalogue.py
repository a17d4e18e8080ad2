"""What planning found out about the files of a table, for the workers: they neither list nor read footers again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import pyarrow as pa

from emberharmony.io.sources.parquet.files import FileVersion, Place, TableFile
from emberharmony.io.sources.parquet.footers import FooteredFile
from emberharmony.io.sources.parquet.kept_footers import PackedFooter
from emberharmony.typing import IntArray

GroupTimes: TypeAlias = tuple[IntArray, IntArray, IntArray]
"""First time, last time and number of nulls of each row group."""


@dataclass(frozen=True)
class Catalogue:
    """The files of a table with their footers, and the times of their row groups by column; ``None`` if unknown."""

    files: list[FooteredFile]
    times: Mapping[str, GroupTimes | None]

    def to_bytes(self, places: Sequence[Place]) -> bytes:
        """Return it as an Arrow file: small, since footers of one table have much in common.

        Parameters
        ----------
        places : sequence of Place
            What the job names; each file is of one of them.
        """
        place_of = {id(file): number for number, place in enumerate(places) for file in place.files}
        schemas = list({id(file.schema): file for file in self.files}.values())
        number_of = {id(file.schema): number for number, file in enumerate(schemas)}
        likes = list(dict.fromkeys(file.footer.like for file in self.files))
        like_of = {like: number for number, like in enumerate(likes)}
        # As JSON in ASCII: a name may hold bytes that are no UTF-8.
        about = [
            json.dumps([place_of[id(f.file)], f.address, f.file.folders, f.version, f.footer_digest, f.group_rows])
            for f in self.files
        ]
        rows = pa.table(
            {
                "about": pa.array(about, pa.large_string()),
                "schema": pa.array([number_of[id(file.schema)] for file in self.files], pa.int32()),
                "footer": pa.array([file.footer.content for file in self.files], pa.large_binary()),
                "like": pa.array([like_of[file.footer.like] for file in self.files], pa.int32()),
            },
            metadata={
                "schemas": json.dumps(
                    [[f.schema.serialize().to_pybytes().hex(), sorted(f.number_categories)] for f in schemas]
                ),
                "likes": json.dumps([like.hex() for like in likes]),
                "times": json.dumps({name: t and [part.tolist() for part in t] for name, t in self.times.items()}),
            },
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(rows)
        return bytes(sink.getvalue())

    @classmethod
    def from_bytes(cls, content: bytes, places: Sequence[Place]) -> Self:
        """Return what `to_bytes` has written."""
        rows = pa.ipc.open_file(pa.py_buffer(content)).read_all()
        kept, times, likes = (json.loads(rows.schema.metadata[name]) for name in (b"schemas", b"times", b"likes"))
        schemas = [(pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(schema))), frozenset(names)) for schema, names in kept]
        likes = [bytes.fromhex(like) for like in likes]
        files = []
        columns = (rows[name].to_pylist() for name in ("about", "schema", "footer", "like"))
        for about, number, content, like in zip(*columns, strict=True):
            place, address, folders, version, digest, group_rows = json.loads(about)
            file: TableFile = places[place].file_at(address, folders, FileVersion(*version))
            footer = PackedFooter(content, likes[like])
            files.append(FooteredFile(file, FileVersion(*version), footer, digest, tuple(group_rows), *schemas[number]))
        return cls(files, {name: t and _times(t) for name, t in times.items()})


def _times(parts: Sequence[Sequence[int]]) -> GroupTimes:
    first, last, n_null = (np.array(part, np.int64) for part in parts)
    return first, last, n_null
