"""`engine: pools`: a flow run that hands its chunks to the worker pools of a Prefect server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from emberharmony.errors import TerminalError
from flows.engines.base import EngineKind

if TYPE_CHECKING:
    from emberharmony.pipeline.job import Engine
    from flows.config.job import AnyJob
    from flows.config.runtime import Runtime


class Pools(EngineKind):
    """Shards in Prefect worker pools; each shard uses all cores of its host, unless `runtime.workers` says otherwise."""

    name = "pools"

    def is_remote(self, runtime: Runtime) -> bool:
        """Whether other workers do the chunks: always."""
        return True

    def check_settings(self, runtime: Runtime) -> None:
        """Refuse a job that names no pools."""
        if not runtime.pools:
            raise ValueError("`engine: pools` needs `pools`: name them, such as `pools: {cpu: 2, gpu: 1}`.")

    def check_available(self, runtime: Runtime) -> None:
        """Refuse to start a server for the run: no worker would know it."""
        from flows.prefect.server import is_configured

        if not is_configured():
            raise TerminalError(
                "engine: pools hands chunks to the workers of a Prefect server, and none is configured. Set PREFECT_API_URL "
                "to one that is set up as in deploy/README.md, or choose another runtime.engine."
            )

    @contextmanager
    def open(self, job: AnyJob) -> Iterator[Engine]:
        """Check that the pools can take shards."""
        from flows.engines.shards import PoolsEngine, Timeouts
        from flows.prefect.work_pools import check_pools

        runtime = job.runtime
        check_pools(runtime.pools)
        timeouts = Timeouts(runtime.start_timeout_s, runtime.silence_timeout_s)
        yield PoolsEngine(runtime.pools, workers=runtime.workers, shard_chunks=runtime.shard_chunks, timeouts=timeouts)
