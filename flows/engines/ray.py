"""`engine: ray`: a flow run whose task runs are tasks of a Ray cluster, started here or at an address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

from flows.engines import clusters
from flows.engines.base import MiB
from flows.engines.cluster_logs import logging_until_closed
from flows.engines.clusters import AddressForm, ClusterKind, missing_extra, started

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

    from flows.config.runtime import Runtime


ADDRESS = AddressForm("ray", ("ray",), ("auto", "local"), "ray://HOST:10001, HOST:6379 or auto")


class Ray(ClusterKind):
    """Prefect task runs on a Ray cluster."""

    name = "ray"
    worker_bytes = 300 * MiB
    services_bytes = 450 * MiB  # measured with one and two workers: 400 MiB, and 320 MiB more for each
    addresses = ADDRESS

    def runner(self, workers: int, address: str | None, n_chunks: int = 1) -> AbstractContextManager[TaskRunner[Any]]:
        """Start the task runner."""
        return _ray_runner(workers, address)

    def overlaps(self, runtime: Runtime) -> bool:
        """No: a worker of Ray runs one task at a time."""
        return False


@contextmanager
def _ray_runner(workers: int, address: str | None) -> Iterator[TaskRunner[Any]]:
    try:
        from prefect_ray import RayTaskRunner
    except ImportError as error:
        raise missing_extra("ray", error) from error
    if address is None:
        connected = started("ray", RayTaskRunner(init_kwargs=_local_cluster(workers)))
        with logging_until_closed("ray") as logs, connected as runner, closing(logs):
            yield runner
        return
    if ADDRESS.names_host(address):
        check_ray(address)
    with ExitStack() as stack:
        try:
            runner = stack.enter_context(RayTaskRunner(address=address))
        except (ConnectionError, RuntimeError, ValueError) as error:  # also if the versions differ
            raise ADDRESS.unusable(address, f"Ray cannot use it: {error}") from error
        yield runner


def _local_cluster(workers: int) -> dict[str, Any]:
    return {
        "num_cpus": workers,
        "include_dashboard": False,
        "log_to_driver": False,
        # Ray puts the working directory first on its workers' sys.path, and with it a folder `tasks` that is not ours.
        "runtime_env": {"worker_process_setup_hook": "emberharmony.__main__.prefer_own_packages"},
    }


def check_ray(address: str) -> None:
    """Refuse an address at which something other than a Ray cluster listens. Ray speaks gRPC at both kinds of its ports.

    Raises
    ------
    TerminalError
        The message names the address.
    """
    try:
        import grpc
    except ImportError:
        return  # Ray needs it at one kind of port only
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return
    with grpc.insecure_channel(address.removeprefix("ray://")) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=clusters.TIMEOUT_S)
        except grpc.FutureTimeoutError as error:
            raise ADDRESS.unusable(address, "what answers there is no Ray cluster") from error
