"""Trees by which workers merge the states of many chunks, before a fit reads what is left of them.

The shape of a tree follows from the plan alone, never from the engine or its workers: sums of the same numbers in the same
order have the same last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from emberharmony.planning.chunk_groups import ChunkGroups
from emberharmony.planning.chunks import Chunk

MOST_MERGED = 32
"""So many states are merged one after the other; more are merged in groups first, on as many levels as that takes."""
LEAST_BYTES = 2 * 2**30
"""Fewer bytes of states are left to the fit, which reads them in less time than further stages would take."""


PROFILE_STAGES = "profile", "merge-profiles", "merge-profiles-2"
GRAM_STAGES = "featurize", "merge-grams", "merge-grams-2"
"""Names of the stages that leave states, those of the chunks first, then those of each level of groups."""


@dataclass(frozen=True)
class MergeTree:
    """A tree whose leaves are chunks and whose other nodes are groups of neighbours, about equally large on every level.

    Examples
    --------
    >>> tree = MergeTree.planned(GRAM_STAGES, 20_000, 400 * 2**30)
    >>> tree.top, [tree.groups(level).n_groups for level in (1, 2)], tree.groups(2).chunks(1)
    ('merge-grams-2', [715, 26], range(28, 56))
    """

    stages: Sequence[str]
    """The stages whose receipts name the states of chunks, and of the groups of each level."""
    n_chunks: int
    n_levels: int = 0
    """Levels of groups; none if the fit merges the states of the chunks itself."""

    @classmethod
    def planned(cls, stages: Sequence[str], n_chunks: int, n_bytes: int) -> Self:
        """Return the tree for the states of chunks that together have so many bytes.

        Examples
        --------
        >>> [MergeTree.planned(PROFILE_STAGES, n, 2**40).n_levels for n in (32, 33, 1_024, 1_025, 100_000)]
        [0, 1, 1, 2, 2]
        >>> MergeTree.planned(PROFILE_STAGES, 1_024, 2**30).n_levels
        0
        """
        most = len(stages) - 1 if n_bytes > LEAST_BYTES else 0
        enough = (level for level in range(most) if n_chunks <= MOST_MERGED ** (level + 1))
        return cls(stages, n_chunks, next(enough, most))

    @property
    def top(self) -> str:
        """The stage whose states the fit merges."""
        return self.stages[self.n_levels]

    @property
    def fan_in(self) -> int:
        """States that are merged at once: the fewest for so many levels."""
        return next(n for n in range(1, self.n_chunks + 1) if n ** (self.n_levels + 1) >= self.n_chunks)

    def groups(self, level: int) -> ChunkGroups:
        """Return the groups of a level, counted from 1: of chunks, or of the groups of the level below."""
        n = self.n_chunks
        for _ in range(level - 1):
            n = ChunkGroups(n, self.fan_in).n_groups
        return ChunkGroups(n, self.fan_in)

    def items(self, chunks: Sequence[Chunk]) -> dict[str, Sequence[Chunk]]:
        """Return the groups of each level as ranges of rows, by the stage that merges them."""
        found, below = dict[str, Sequence[Chunk]](), chunks
        for level in range(1, self.n_levels + 1):
            below = found[self.stages[level]] = self.groups(level).as_items(below)
        return found


@dataclass(frozen=True)
class MergeLevels:
    """Levels of groups on which a job's states are merged before the stages that fit."""

    profiles: int = 0
    grams: int = 0

    @property
    def stages(self) -> Sequence[str]:
        """The stages that merge."""
        return *PROFILE_STAGES[1 : 1 + self.profiles], *GRAM_STAGES[1 : 1 + self.grams]


NO_MERGES: Final = MergeLevels()
"""Of jobs of few chunks, or small states."""
