"""Stream the raw windows of a published result into a training loop."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from emberharmony.errors import PlanError
from emberharmony.features.columns import ColumnRoles
from emberharmony.io.manifest import Manifest, check_windows
from emberharmony.io.store.opening import result_at
from emberharmony.loader.sampling import Piece, Shard, buffers, pieces, shard_of_rank
from emberharmony.loader.split_rows import SplitRows
from emberharmony.loader.window_index import index_windows
from emberharmony.loader.window_reader import WindowBatch, WindowLayout, WindowReader, joined
from emberharmony.messages import did_you_mean, listed, shown
from emberharmony.steps.order import JobOrder


class WindowLoader:
    """Raw windows of a published result, in batches; no window is written to disk.

    Every window appears once in an epoch: the windows are those of the published scores. (Of an applied slice, those alone
    whose rows lie in it, and the row of their label, too.) Rows are read one row group at a time, so memory does not grow with
    the table. Where torch is in use, the loader is a ``torch.utils.data.IterableDataset``:
    ``DataLoader(loader, batch_size=None, num_workers=2)`` gives tensors, in the same order for any run with that number of
    workers.

    Parameters
    ----------
    result : str or Path
        The `sink.path` of a job that `run` or `apply` has published. The loader reads what is published when it is made, also
        while another result takes its place, for as long as `sink.keep_versions` keeps it.
    split : str
        Split of the windows: ``"train"``, ``"validation"`` or ``"test"``; ``"apply"`` for the result of `apply`.
    stride : int
        One of the job's strides.
    batch_size : int
        Windows of a batch; the last one may be smaller.
    shuffle : bool
        Whether row groups come in random order, and windows in random order among those of `buffer_rows` rows. Otherwise,
        windows come in their order.
    seed : int
        Seed of the order, which also depends on the epoch.
    drop_last : bool
        Leave out the windows at the end that do not fill a batch. All ranks then have the same number of batches, which
        DistributedDataParallel needs.
    rank, world_size : int
        The loader gives the windows of one of `world_size` processes. Their windows are disjoint, and together all windows.
    buffer_rows : int
        Rows held in memory to shuffle their windows; at least one row group is.

    Raises
    ------
    PlanError
        If the result has no such split or stride.
    DataError
        If nothing is published at `result`, or it has no windows. While iterating, if a file is damaged, or the version that
        the loader reads was removed, because others took its place.
    ValueError, TypeError
        If a number is out of its range, or no whole number.

    Notes
    -----
    If the job tells series apart, their entity and time columns are read once when the loader is made.

    After a complete iteration the next epoch follows. Workers of a DataLoader are made anew for each epoch and do not know the
    last one: call `set_epoch` before each.

    Examples
    --------
    For the result of the demo (the README and ``examples/train_torch.py`` train models on it)::

        train = WindowLoader("data/flights-features", split="train", stride=1, shuffle=True)
        for features, label, keys in train:
            ...  # float32 of shape (256, 5, 249), float64 of shape (256,), a pyarrow.Table of 256 rows

    >>> WindowLoader("nowhere", split="train", stride=1)
    Traceback (most recent call last):
    emberharmony.errors.DataError: Nothing is published at ...nowhere. Name the `sink.path` of a job that `run` or ...
    """

    def __init__(
        self,
        result: str | Path,
        *,
        split: str,
        stride: int,
        batch_size: int = 256,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
        buffer_rows: int = 262_144,
    ) -> None:
        self.batch_size, stride = _whole("batch_size", batch_size, least=1), _whole("stride", stride, least=1)
        self._buffer_rows = _whole("buffer_rows", buffer_rows, least=1)
        self._shuffle, self._seed = bool(shuffle), _whole("seed", seed, least=0)
        world_size, rank = _whole("world_size", world_size, least=1), _whole("rank", rank, least=0)
        if rank >= world_size:
            raise ValueError(f"Ranks are counted from 0: rank {rank} is not one of world_size {world_size}.")
        snapshot = result_at(result).snapshot()
        manifest = snapshot.manifest
        check_windows(manifest, snapshot.address)
        _check_one_of(str(stride), manifest.strides, "stride", result)
        _check_one_of(str(split), manifest.rows, "split", result)
        target = manifest.spec["columns"]["target"]
        rows = SplitRows(snapshot, split, target=target if target in manifest.schema else None)
        order = JobOrder.of_published(manifest.spec, rows.schema)
        layout = _layout_of(manifest, order)
        index = index_windows(rows, order, reach=layout.reach, stride=stride)
        self._reader = WindowReader(layout, rows, index)
        self.feature_names = manifest.features
        self.n_windows = int(index.counts.sum())
        self._shard = shard_of_rank(
            self.n_windows, self.batch_size, rank=rank, world_size=world_size, drop_last=bool(drop_last)
        )
        self._identity = {
            "result": manifest.fingerprint,
            "split": split,
            "stride": stride,
            "batch_size": self.batch_size,
            "shuffle": self._shuffle,
            "seed": self._seed,
            "drop_last": bool(drop_last),
            "world_size": world_size,
            "buffer_rows": self._buffer_rows,
        }
        self._epoch = self._batch = self._resumed_at = 0

    @property  # type: ignore[misc]
    def __class__(self) -> type[WindowLoader]:
        """The class, known to torch as an IterableDataset: its DataLoader asks ``isinstance``, which asks for the class.

        So the loader needs no torch, and it does not matter which of the two is imported or made first.
        """
        torch_data = sys.modules.get("torch.utils.data")
        if torch_data is not None:
            torch_data.IterableDataset.register(WindowLoader)
        return type(self)

    def __len__(self) -> int:
        """Number of batches of this rank in an epoch."""
        return self._shard.n_batches

    def __iter__(self) -> Iterator[WindowBatch]:
        """Yield the batches of an epoch."""
        worker, n_workers = _torch_worker()
        skipped = len(range(worker, self._resumed_at, n_workers))
        self._resumed_at, self._batch = 0, worker + skipped * n_workers
        for batch in self._batches(self._shard.of_worker(worker, n_workers), skipped):
            self._batch += n_workers
            yield batch
        self.set_epoch(self._epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch, on which the order of shuffled windows depends."""
        self._epoch = _whole("epoch", epoch, least=0)
        self._batch = self._resumed_at = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch and the number of its batches so far, as plain data.

        With workers of a DataLoader, which hold copies of the loader, count the batches yourself:
        ``{**loader.state_dict(), "epoch": epoch, "batch": n_batches}``.
        """
        return {"epoch": self._epoch, "batch": self._batch, "loader": dict(self._identity)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Have the next iteration go on after the batch at which `state_dict` was called.

        Raises
        ------
        ValueError
            If the state is that of a loader with other windows or another order.
        """
        if not {"epoch", "batch", "loader"} <= state.keys():
            raise ValueError(f"The state is not one of `state_dict`: it has {listed(map(str, state)) or 'no keys'}.")
        for name, mine in self._identity.items():
            theirs = state["loader"].get(name)
            if theirs != mine:
                raise ValueError(
                    f"The state is of a loader with {name} {theirs!r}, this one has {mine!r}: it would go on with other "
                    f"windows. Make the loader as it was then, or begin an epoch with `set_epoch`."
                )
        self.set_epoch(state["epoch"])
        self._batch = self._resumed_at = _whole("batch", state["batch"], least=0)

    def _batches(self, shard: Shard, skipped: int) -> Iterator[WindowBatch]:
        """Yield the batches of a shard after the first ones."""
        begin, stop, n_windows = skipped * self.batch_size, 0, shard.stop - shard.start
        pending = list[WindowBatch]()
        for buffer in self._buffers(shard):
            start, stop = stop, stop + sum(piece.stop - piece.start for piece in buffer)
            if stop <= begin:
                continue
            begin = max(start, begin)
            ends = [*range(begin - begin % self.batch_size + self.batch_size, stop, self.batch_size), stop]
            places = [end - start for end in (begin, *ends)]
            for end, windows in zip(ends, self._windows(buffer, places), strict=True):
                pending.append(windows)
                if end % self.batch_size == 0 or end == n_windows:
                    yield joined(pending)
                    pending = []

    def _buffers(self, shard: Shard) -> Iterator[list[Piece]]:
        """Yield what is read at a time, in the order of the epoch."""
        index, n_rows = self._reader.index, [group.n_rows for group in self._reader.rows.groups]
        order = np.arange(len(n_rows))
        if not self._shuffle:
            return buffers(pieces(order, index.counts, shard), n_rows, max_rows=1)
        order = np.random.default_rng([self._seed, self._epoch]).permutation(order)
        return buffers(pieces(order, index.counts, shard), n_rows, self._buffer_rows)

    def _windows(self, buffer: Sequence[Piece], bounds: Sequence[int]) -> Iterator[WindowBatch]:
        """Yield the windows of a buffer between each two bounds; its rows are held until the last of them."""
        windows = self._reader.read(buffer)
        if self._shuffle:
            rng = np.random.default_rng([self._seed, self._epoch, buffer[0].group, buffer[0].start])
            rng.shuffle(windows.places)
        for start, stop in pairwise(bounds):
            yield windows.batch(start, stop)


def _layout_of(manifest: Manifest, order: JobOrder) -> WindowLayout:
    target, windows = manifest.spec["columns"]["target"], manifest.spec["windows"]
    roles = ColumnRoles(
        features=(),
        time=order.time,
        target=target if target in manifest.schema else None,
        passthrough=(),
        dropped=(),
        entity=order.entity,
    )
    label_after = windows.get("horizon", 0) if roles.target else 0
    return WindowLayout(windows["size"], label_after, manifest.features, roles)


def _torch_worker() -> tuple[int, int]:
    """Number of this worker of a torch DataLoader, and their number; this process is the only one if there are none."""
    torch_data = sys.modules.get("torch.utils.data")
    worker = None if torch_data is None else torch_data.get_worker_info()
    return (0, 1) if worker is None else (worker.id, worker.num_workers)


def _whole(name: str, number: object, *, least: int) -> int:
    if isinstance(number, bool) or not isinstance(number, SupportsIndex):
        raise TypeError(f"`{name}` is a whole number, got {shown(number)}.")
    if operator.index(number) < least:
        raise ValueError(f"`{name}` is at least {least}, got {number}.")
    return operator.index(number)


def _check_one_of(name: str, known: Iterable[str], what: str, result: str | Path) -> None:
    if name not in known:
        raise PlanError(f"{result} has no {what} {shown(name)}.{did_you_mean(name, known)}")
