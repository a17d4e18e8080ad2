"""Which states of a job workers merge before the stages that fit, and the memory that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from emberharmony.planning.chunks import Chunk
from emberharmony.planning.merge_tree import GRAM_STAGES, PROFILE_STAGES, MergeLevels, MergeTree
from emberharmony.planning.stage_bytes import RowSizes, gram_merge_bytes, merge_bytes
from emberharmony.windows import gram_bytes

_BUCKET_BYTES = 6  # in a file: a key of four bytes, and a count of one or two
_USUAL_BUCKETS = 16_384  # measured: 131,072 rows of a normal distribution fall into 15,600


@dataclass(frozen=True)
class Merging:
    """The levels on which states are merged, and the bytes of a worker that merges them."""

    levels: MergeLevels
    chunk_bytes: int

    @classmethod
    def planned(
        cls, sizes: RowSizes, chunks: Sequence[Chunk], *, window_size: int, n_strides: int, has_profiles: bool = True
    ) -> Self:
        """Return the plan for a job that fits.

        Parameters
        ----------
        sizes : RowSizes
            Bytes of a row, and its numbers of features and of columns with quantiles, at most.
        chunks : sequence of Chunk
            All chunks.
        window_size, n_strides : int
            Rows of a window, and how many strides there are.
        has_profiles : bool
            Whether each chunk is profiled, rather than the table by a server.

        Examples
        --------
        >>> chunks = [Chunk(i, 131_072 * i, 131_072) for i in range(5_000)]
        >>> sizes = RowSizes(read_bytes=1_200, carried_bytes=8, n_features=300, in_order=True, n_numbers=300)
        >>> Merging.planned(sizes, chunks, window_size=5, n_strides=3).levels
        MergeLevels(profiles=2, grams=2)
        """
        n_chunks, most_rows = len(chunks), max(chunk.n_rows for chunk in chunks)
        profile_bytes = _BUCKET_BYTES * sizes.n_numbers * min(most_rows, _USUAL_BUCKETS) if has_profiles else 0
        # Where they take more than twice the rows, the rows of several chunks are joined to one state.
        state_bytes = min(n_strides * gram_bytes(window_size, sizes.n_features), 2 * 4 * sizes.n_features * most_rows)
        profiles = MergeTree.planned(PROFILE_STAGES, n_chunks, n_chunks * profile_bytes)
        grams = MergeTree.planned(GRAM_STAGES, n_chunks, n_chunks * state_bytes)
        of_profiles = merge_bytes(sizes, profiles.fan_in * most_rows) if profiles.n_levels else 0
        of_grams = gram_merge_bytes(sizes, window_size=window_size, n_strides=n_strides, chunk_rows=most_rows)
        chunk_bytes = max(of_profiles, of_grams if grams.n_levels else 0)
        return cls(MergeLevels(profiles.n_levels, grams.n_levels), chunk_bytes)
