"""Shards and buffers, against lists of all windows."""

from itertools import chain, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emberharmony.loader.sampling import Shard, buffers, pieces, shard_of_rank


@given(n_windows=st.integers(0, 200), batch_size=st.integers(1, 40), world_size=st.integers(1, 9), n_workers=st.integers(1, 5))
def test_shards_are_all_windows_once(n_windows, batch_size, world_size, n_workers):
    given_to = []
    for rank in range(world_size):
        of_rank = shard_of_rank(n_windows, batch_size, rank=rank, world_size=world_size, drop_last=False)
        workers = [of_rank.of_worker(i, n_workers) for i in range(n_workers)]
        assert sum(worker.n_batches for worker in workers) == of_rank.n_batches
        assert max(w.n_batches for w in workers) - min(w.n_batches for w in workers) <= 1
        given_to += [range(worker.start, worker.stop) for worker in workers]
    assert list(chain(*given_to)) == list(range(n_windows))


@given(n_windows=st.integers(0, 200), batch_size=st.integers(1, 40), world_size=st.integers(1, 9))
def test_drop_last_gives_every_rank_as_many_full_batches(n_windows, batch_size, world_size):
    shards = [shard_of_rank(n_windows, batch_size, rank=i, world_size=world_size, drop_last=True) for i in range(world_size)]
    assert {shard.stop - shard.start for shard in shards} == {n_windows // world_size // batch_size * batch_size}
    windows = list(chain(*(range(shard.start, shard.stop) for shard in shards)))
    assert len(set(windows)) == len(windows)
    assert set(windows) <= set(range(n_windows))


@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=9), data=st.data())
def test_pieces_and_buffers_hold_the_windows_of_a_shard(counts, data):
    order = np.array(data.draw(st.permutations(range(len(counts)))))
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, sum(counts))] * 2)))
    n_rows = data.draw(st.lists(st.integers(1, 9), min_size=len(counts), max_size=len(counts)))
    found = pieces(order, np.array(counts), Shard(start, stop, 1))
    windows = [(group, i) for group in order.tolist() for i in range(counts[group])]
    assert [(piece.group, i) for piece in found for i in range(piece.start, piece.stop)] == windows[start:stop]
    held = list(buffers(found, n_rows, max_rows=12))
    assert list(chain(*held)) == found
    for buffer, following in pairwise(held):
        assert sum(n_rows[piece.group] for piece in buffer) <= 12
        assert sum(n_rows[piece.group] for piece in [*buffer, following[0]]) > 12
