"""Addresses of clusters: what cannot be one is refused with the job, what is no cluster before any work begins."""

import time
from contextlib import contextmanager

import pytest

from emberharmony.errors import PlanError, TerminalError
from flows.config.job import parse_job
from flows.engines import clusters
from flows.engines.clusters import started
from flows.engines.dask import check_dask, dask_runner
from flows.engines.ray import check_ray
from tests.faults.victims import small_job
from tests.flows.prefect.test_server import Site, serving, silent


@pytest.mark.parametrize(
    ("engine", "address", "reason"),
    [
        ("dask", "hello", "it needs a host and a port"),
        ("dask", "tcp://hello", "it needs a host and a port"),
        ("dask", ":8786", "it needs a host and a port"),
        ("dask", "tcp://h:abc", "Port could not be cast"),
        ("dask", "tcp://h:99999", "Port out of range"),
        ("dask", "http://h:8787", "its scheme 'http' is none of tcp, tls, ws, wss, ucx"),
        ("dask", "tcp://[::1:8786", "Invalid IPv6 URL"),
        ("ray", "hello", "it needs a host and a port"),
        ("ray", "tcp://h:10001", "its scheme 'tcp' is none of ray"),
        ("ray", "", "it needs a host and a port"),
    ],
)
def test_what_is_no_address_is_refused_with_the_job(tmp_path, engine, address, reason):
    with pytest.raises(PlanError, match="Write it like") as told:
        parse_job(small_job(tmp_path, runtime={"engine": engine, "address": address}))
    assert f"The address {address!r} is not one of `engine: {engine}`: {reason}" in str(told.value)


@pytest.mark.parametrize(
    ("engine", "address"),
    [
        ("dask", "h:8786"),
        ("dask", "tls://[::1]:8786"),
        ("dask", "inproc://10.0.0.1/7/1"),
        ("ray", "auto"),
        ("ray", "h:6379"),
        ("ray", "ray://h:10001"),
        ("local", "hello"),  # an engine that uses no address
    ],
)
def test_what_is_an_address(tmp_path, engine, address):
    job = parse_job(small_job(tmp_path, runtime={"engine": engine, "address": address}))
    assert job.is_spread is (engine != "local")


@pytest.mark.parametrize("place", [silent, lambda: serving(Site)], ids=["silent", "site"])
@pytest.mark.parametrize("check", [check_dask, check_ray])
def test_what_is_no_cluster_is_found_out_soon(monkeypatch, check, place):
    """Dask's own client never ends there, Ray's takes half a minute and more."""
    monkeypatch.setattr(clusters, "TIMEOUT_S", 0.5)
    with place() as port:
        began = time.monotonic()
        with pytest.raises(TerminalError, match=rf"runtime\.address is '127\.0\.0\.1:{port}', and what answers there is no"):
            check(f"127.0.0.1:{port}")
        assert time.monotonic() - began < 25


def test_what_ray_says_of_a_cluster_is_told(tmp_path, monkeypatch):
    prefect_ray = pytest.importorskip("prefect_ray")

    def refuse(self):
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(prefect_ray.RayTaskRunner, "__enter__", refuse)
    job = parse_job(small_job(tmp_path, runtime={"engine": "ray", "address": "auto"}))
    words = r"runtime\.address is 'auto', and Ray cannot use it: Could not find any running Ray instance\."
    with pytest.raises(TerminalError, match=words), job.engine.open(job):
        pass


@contextmanager
def cluster(*, error=None):
    if error:
        raise error
    yield "runner"


@pytest.mark.parametrize("error", [RuntimeError("no port is free"), OSError(12, "Cannot allocate memory"), TimeoutError()])
def test_a_cluster_that_does_not_start_is_an_error_of_ours(error):
    with (
        pytest.raises(TerminalError, match="cannot start its cluster on this host") as told,
        started("ray", cluster(error=error)),
    ):
        pytest.fail("the cluster does not run")
    assert "`engine: ray`" in str(told.value)
    assert type(error).__name__ in str(told.value)
    assert str(error) in str(told.value)
    assert told.value.__cause__ is error


def test_errors_of_the_work_on_a_cluster_stay_what_they_are():
    with pytest.raises(RuntimeError, match=r"^of a task$"), started("ray", cluster()):
        raise RuntimeError("of a task")


def test_a_dask_cluster_that_does_not_start(monkeypatch):
    import prefect_dask

    class NoRunner:
        def __init__(self, **_):
            pass

        def __enter__(self):
            raise RuntimeError("Nanny failed to start.")

        def __exit__(self, *_):
            raise AssertionError

    monkeypatch.setattr(prefect_dask, "DaskTaskRunner", NoRunner)
    with pytest.raises(TerminalError, match=r"`engine: dask` cannot start .*Nanny failed to start"), dask_runner(1, None):
        pytest.fail("the cluster does not run")
