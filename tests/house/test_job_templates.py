"""The job templates of work pools, rendered by Prefect's own code with the variables of `prefect.yaml`.

Prefect's workers and Docker are imported by the tests that use them, in the one process of their group.
"""

from __future__ import annotations

import asyncio
import copy
import json
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import jsonschema
import prefect
import pytest
import yaml

pytestmark = pytest.mark.xdist_group("prefect")

ROOT = Path(__file__).parents[2]
TYPES = {"process": "prefect", "docker": "prefect-docker", "kubernetes": "prefect-kubernetes"}
POOLS = ("control", "cpu", "gpu")
ADDED = {"container_create_kwargs"}
"""Keys that the worker reads though Prefect's own template leaves them out."""


@cache
def configuration() -> Any:
    """Prefect's class of the configurations of jobs, which takes every key."""
    from prefect.workers.base import BaseJobConfiguration
    from pydantic import ConfigDict

    class Rendered(BaseJobConfiguration):
        model_config = ConfigDict(extra="allow")

    return Rendered


@cache
def template(kind: str) -> dict[str, Any]:
    return json.loads((ROOT / f"deploy/templates/{kind}.json").read_text())


@cache
def of_prefect(kind: str) -> dict[str, Any]:
    """Prefect's own template of a type of pools, as `prefect work-pool create` offers it."""
    path = Path(prefect.__file__).parent / "server/api/collections_data/views/aggregate-worker-metadata.json"
    return json.loads(path.read_text())[TYPES[kind]][kind]["default_base_job_configuration"]


@cache
def variables(pool: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "prefect.yaml").read_text())["definitions"][pool]["job_variables"]


def rendered(kind: str, pool: str, **values: Any) -> dict[str, Any]:
    given = variables(pool) | values
    jsonschema.validate(given, template(kind)["variables"])
    wanted = {"command": "prefect flow-run execute", "name": "bold-fox", "labels": {"of": "a test"}} | given
    nobody = Mock()  # a mock: the templates refer to no blocks and variables of a server
    return asyncio.run(configuration().from_template_and_values(template(kind), wanted, client=nobody)).model_dump()


def keys(kind: str) -> set[str]:
    return set(template(kind)["job_configuration"])


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("pool", POOLS)
def test_a_template_renders_with_the_variables_of_a_pool(kind, pool):
    found = rendered(kind, pool)
    assert "{{" not in json.dumps(found), "a variable that no template knows"
    assert found["env"] == variables(pool)["env"]
    assert found["command"] == "prefect flow-run execute"


@pytest.mark.parametrize("kind", TYPES)
def test_defaults_of_a_pool_may_name_variables_of_the_server(kind):
    """A pool's image or environment is changed without a new deployment, as deploy/README.md says."""
    kept = {"emberharmony_image": "registry/emberharmony:7", "emberharmony_data": "s3://lake/flights"}
    client = Mock()  # a mock of the server's answers: rendering is Prefect's own
    client.read_variable_by_name = AsyncMock(side_effect=lambda name: Mock(value=kept[name]))
    changed = copy.deepcopy(template(kind))
    defaults = changed["variables"]["properties"]
    defaults["env"]["default"] = {"EMBERHARMONY_DATA": "{{ prefect.variables.emberharmony_data }}"}
    if "image" in defaults:
        defaults["image"]["default"] = "{{ prefect.variables.emberharmony_image }}"
    given = {"command": "prefect flow-run execute", "name": "bold-fox", "service_account_name": "emberharmony-cpu"}
    made = asyncio.run(configuration().from_template_and_values(changed, given, client=client)).model_dump()
    assert made["env"]["EMBERHARMONY_DATA"] == "s3://lake/flights"
    assert ("registry/emberharmony:7" in json.dumps(made)) is ("image" in defaults)
    assert "{{" not in json.dumps(made)


@pytest.mark.parametrize("kind", TYPES)
def test_a_server_takes_the_template(kind):
    from prefect.server.schemas.actions import WorkPoolCreate

    WorkPoolCreate(name="pool", type=kind, base_job_template=template(kind))
    assert keys(kind) <= set(of_prefect(kind)["job_configuration"]) | ADDED, "a key that no worker reads"
    asked = set(of_prefect(kind)["job_configuration"]) & {"command", "env", "labels", "name", "image", "job_manifest"}
    assert asked <= keys(kind)


@pytest.mark.parametrize("kind", TYPES)
def test_no_template_shares_a_folder_of_the_host(kind):
    found = json.dumps(template(kind))
    assert not [word for word in ("hostPath", "working_dir", "persistentVolumeClaim", "{{ volumes }}") if word in found]


def test_a_pod_runs_as_its_pool_with_no_more_rights_than_it_needs():
    job = rendered("kubernetes", "gpu", gpus=2, node_selector={"gpu": "h100"}, memory="64Gi")["job_manifest"]
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    accounts = [a for a in yaml.safe_load_all((ROOT / "deploy/service-accounts.yaml").read_text()) if a["kind"] != "Namespace"]
    assert {a["metadata"]["name"] for a in accounts} == {variables(pool)["service_account_name"] for pool in POOLS}
    assert {a["metadata"]["namespace"] for a in accounts} == {job["metadata"]["namespace"]}
    assert pod["serviceAccountName"] == "emberharmony-gpu"
    assert container["resources"]["limits"] == {"memory": "64Gi", "nvidia.com/gpu": 2}
    assert pod["nodeSelector"] == {"gpu": "h100"}
    assert pod["securityContext"]["runAsUser"] == 10001, "the user of the Dockerfile"
    assert "useradd --create-home --uid 10001 ember" in (ROOT / "Dockerfile").read_text()
    assert container["securityContext"]["readOnlyRootFilesystem"]
    # The worker refuses a job without these (prefect_kubernetes 0.8.0, _get_base_job_manifest).
    assert (job["apiVersion"], job["kind"], container["name"]) == ("batch/v1", "Job", "prefect-job")
    assert (pod["restartPolicy"], pod["parallelism"], pod["completions"]) == ("Never", 1, 1)


def test_a_pod_without_gpus_asks_for_none():
    job = rendered("kubernetes", "cpu")["job_manifest"]
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"memory": "16Gi"}
    with pytest.raises(jsonschema.ValidationError, match="service_account_name"):
        jsonschema.validate({}, template("kubernetes")["variables"])


def test_a_container_gets_gpus_by_a_variable():
    from docker.types import HostConfig

    gpus = [{"Driver": "nvidia", "Count": 1, "Capabilities": [["gpu"]]}]
    created = rendered("docker", "gpu", device_requests=gpus)["container_create_kwargs"]
    host = HostConfig(version="1.45", **created)
    assert host["DeviceRequests"][0]["Count"] == 1
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert "device_requests" not in rendered("docker", "cpu")["container_create_kwargs"]
