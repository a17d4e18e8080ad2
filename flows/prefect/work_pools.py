"""Checks of the work pools and deployments that a job uses."""

from __future__ import annotations

from collections.abc import Iterable

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from emberharmony.errors import TerminalError
from flows.prefect.outages import outages_told


def check_pools(names: Iterable[str]) -> None:
    """Refuse pools that cannot run a shard, before any work begins.

    Parameters
    ----------
    names : iterable of str
        The deployments `shard/NAME`, as in `runtime.pools`.

    Raises
    ------
    TerminalError
        If a deployment or its work pool does not exist, or the pool is paused; the message says which command mends it.
    """
    with outages_told(), get_client(sync_client=True) as client:
        faults = [fault for name in names if (fault := _fault(client, name))]
    if faults:
        raise TerminalError(f"`engine: pools` cannot use its pools: {' '.join(faults)}")


def _fault(client: SyncPrefectClient, name: str) -> str | None:
    try:
        deployment = client.read_deployment_by_name(f"shard/{name}")
    except ObjectNotFound:
        return (
            f"The deployment shard/{name} does not exist: run `prefect work-pool create {name} --type process` and, in the "
            f"folder of prefect.yaml, `prefect --no-prompt deploy --name {name}`."
        )
    pool = deployment.work_pool_name
    if pool is None:  # it is served by a process
        return None
    try:
        paused = client.read_work_pool(pool).is_paused
    except ObjectNotFound:
        return f"The work pool {pool} does not exist: run `prefect work-pool create {pool} --type process`."
    return f"The work pool {pool} is paused: run `prefect work-pool resume {pool}`." if paused else None
