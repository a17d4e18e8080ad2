"""Workers of a Dask cluster that share nothing with the run but a bucket and the Prefect server."""

from __future__ import annotations

import os

import pytest

from emberharmony.io.store.address import BucketAddress, child_address
from emberharmony.io.store.bucket import Bucket
from emberharmony.published import open_result
from flows.config.job import parse_job
from flows.run import run
from tests.faults.victims import small_job
from tests.integration import hosts
from tests.servers.s3 import CREDENTIALS

pytestmark = [
    pytest.mark.xdist_group("prefect-engines"),
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("default"),  # those of Dask change with every release
    pytest.mark.skipif(bool(hosts.why_not()), reason=hosts.why_not()),
]


def test_a_dask_worker_on_another_host_publishes_what_the_local_engine_does(tmp_path, s3, tmp_path_factory):
    from distributed import LocalCluster

    job = small_job(tmp_path)
    run(parse_job(job))
    Bucket(BucketAddress.parse(s3)).put("table.parquet", (tmp_path / "table.parquet").read_bytes())
    far = {"source": {"path": child_address(s3, "table.parquet")}, "sink": {"path": child_address(s3, "out")}}
    environment = {**os.environ, **CREDENTIALS, "EMBERHARMONY_BACKEND": "numpy"}
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster,
        hosts.host(
            "dask",
            ["-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--nthreads", "2", "--no-dashboard"],
            environment,
            tmp_path_factory.getbasetemp(),
            tmp_path / "worker.log",
        ) as worker,
    ):
        cluster.scheduler  # noqa: B018
        runtime = job["runtime"] | {"engine": "dask", "address": cluster.scheduler_address, "backend": "auto", "workers": 2}
        outcome = run(parse_job(job | far | {"runtime": runtime}))
        seen = hosts.seen_by(worker, tmp_path_factory.getbasetemp())
        assert [path.name for path in seen.iterdir()] == ["dask"]
    assert outcome.engine == "dask"
    wanted, found = open_result(job["sink"]["path"]), open_result(far["sink"]["path"])
    for split in wanted.manifest.rows:
        assert found.features(split).to_arrow().equals(wanted.features(split).to_arrow())
    for stride in (1, 2):
        assert found.windows(stride=stride).to_arrow().equals(wanted.windows(stride=stride).to_arrow())
