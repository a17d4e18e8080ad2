"""How many bytes the result of a planned job will take, and the earlier results that stay beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from emberharmony.features.kinds.registry import kind_named
from emberharmony.io.store.snapshot import Version
from emberharmony.pca import n_components
from emberharmony.pipeline.plan import Plan

_NUMBER_BYTES: Final = 8
_FEATURE_BYTES: Final = 4
_SPARSE_BYTES: Final = 0.3
"""Of a value of a one-hot feature, in a file: see the measurement at `emberharmony.io.parts.Encoding`."""


def result_bytes(plan: Plan) -> int:
    """Return about how many bytes the rows of a result take, at most; none in a job that publishes only a state.

    Metadata only bound the number of categories, and columns of few distinct values are smaller in files than is assumed.
    """
    if not plan.spec.job.publishes_rows:
        return 0
    specs, bytes_per_row = plan.spec.features, plan.table.bytes_per_row
    kinds = [kind_named(column.kind) for column in plan.roles.features]
    features = sum(kind.width(specs) * (_SPARSE_BYTES if kind.is_sparse else _FEATURE_BYTES) for kind in kinds)
    row = _NUMBER_BYTES + sum(bytes_per_row[name] for name in plan.roles.carried) + features
    windows = sum(
        _window_bytes(plan, stride, sum(kind.width(specs) for kind in kinds)) for stride in plan.spec.windows.strides
    )
    return int(plan.n_rows * row + windows)


def kept_bytes(n_bytes: int, versions: Sequence[Version], *, keep: int) -> int:
    """Return about how many bytes a result of `n_bytes` takes together with the earlier results that are kept beside it.

    Parameters
    ----------
    n_bytes : int
        Bytes of the result that a job will publish.
    versions : sequence of Version
        What is published now and kept, newest first.
    keep : int
        How many earlier results stay. For those that there are not yet, later runs are taken to publish as much.

    Examples
    --------
    >>> published = Version("2", "2026-11-28T00:00:00+00:00", "", 300, True)
    >>> [kept_bytes(500, [published], keep=keep) for keep in (0, 1, 2)]
    [500, 800, 1300]
    """
    there = versions[:keep]
    return n_bytes * (1 + keep - len(there)) + sum(version.n_bytes for version in there)


def _window_bytes(plan: Plan, stride: int, n_features: int) -> float:
    roles, bytes_per_row = plan.roles, plan.table.bytes_per_row
    n_windows = plan.n_rows // stride
    kept = [*roles.entity, *filter(None, [roles.time, roles.time, roles.target])]  # of a window's first and last row
    size = plan.spec.windows.size
    # As if there were windows enough: a state that is applied may have been fitted on more of them.
    components = n_components(plan.spec.pca, size=size, n_features=n_features, n_windows=size * n_features + 1)
    columns = 2 * _NUMBER_BYTES + sum(bytes_per_row[name] for name in kept) + _FEATURE_BYTES * components
    return n_windows * columns
