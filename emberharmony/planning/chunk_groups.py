"""Groups of neighbouring chunks, for tables so large that their pieces cannot be partitioned by chunk at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from emberharmony.planning.chunks import Chunk
from emberharmony.typing import IntArray

Numbers = TypeVar("Numbers", int, IntArray)

MOST_PARTS = 4_000_000
"""Parts of one partitioning, each of a piece's rows of a chunk: beyond that they would be kilobytes, read one by one."""


@dataclass(frozen=True)
class ChunkGroups:
    """Groups of `size` neighbouring chunks; the last one may have fewer. Groups of one chunk need no second partitioning.

    Examples
    --------
    >>> groups = ChunkGroups(5, 2)
    >>> groups.n_groups, groups.of(3), groups.chunks(1), groups.chunks(2)
    (3, 1, range(2, 4), range(4, 5))
    """

    n_chunks: int
    size: int = 1

    @classmethod
    def planned(cls, *, n_inputs: int, n_chunks: int) -> ChunkGroups:
        """Return single chunks while pieces times chunks are few enough, else as many groups as chunks to a group.

        Examples
        --------
        >>> ChunkGroups.planned(n_inputs=100, n_chunks=1_000).size, ChunkGroups.planned(n_inputs=24_000, n_chunks=20_000).size
        (1, 142)
        """
        return cls(n_chunks, 1 if n_inputs * n_chunks <= MOST_PARTS else math.ceil(math.sqrt(n_chunks)))

    @classmethod
    def of_plan(cls, inputs: Sequence[Chunk], chunks: Sequence[Chunk]) -> ChunkGroups:
        """Return the groups of a plan's chunks."""
        return cls.planned(n_inputs=len(inputs), n_chunks=len(chunks))

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return -(-self.n_chunks // self.size)

    def of(self, chunk: Numbers) -> Numbers:
        """Return the group of a chunk, or of each one in an array."""
        return chunk // self.size

    def chunks(self, group: int) -> range:
        """Return the chunks of a group."""
        return range(group * self.size, min((group + 1) * self.size, self.n_chunks))

    def as_items(self, chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
        """Return each group as one range of rows, for the stage that partitions groups; none if each chunk is a group."""
        if self.size == 1:
            return ()
        some = [[chunks[i] for i in self.chunks(group)] for group in range(self.n_groups)]
        return tuple(Chunk(i, of[0].first_row, sum(chunk.n_rows for chunk in of)) for i, of in enumerate(some))


def partition_levels(inputs: Sequence[Chunk], chunks: Sequence[Chunk]) -> int:
    """Return how often the rows of a table are partitioned: not at all if they are in order, else once or twice."""
    return (1 if ChunkGroups.of_plan(inputs, chunks).size == 1 else 2) if inputs else 0
