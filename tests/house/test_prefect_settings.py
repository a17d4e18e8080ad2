"""Prefect ignores a setting of a name that it does not know: here are only such as it does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import prefect.logging.configuration
import prefect.settings
import yaml

ROOT = Path(__file__).parents[2]
OF_KUBERNETES = {f"PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_{name}" for name in ("NAME", "KEY")}
"""Settings of prefect-kubernetes 0.8.0, which is not installed here."""
PLACES = ["deploy", "docs", "flows", "tasks", "tests", "benchmarks", "prefect.yaml", "Dockerfile", "Makefile", "README.md"]


def server_settings(**environment):
    command = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    return subprocess.run(
        [*command, "/bin/sh", "-c", "set -a; . deploy/server.env; /usr/bin/env"], cwd=ROOT, capture_output=True, text=True
    )


def test_the_server_of_the_documentation_has_a_password_and_listens_to_its_host_unless_told_otherwise():
    refused = server_settings()
    assert refused.returncode != 0
    assert "PREFECT_SERVER_API_AUTH_STRING: export it first, as admin:PASSWORD" in refused.stderr
    login = 'admin:a $word "or" two'
    found = dict(line.split("=", 1) for line in server_settings(PREFECT_SERVER_API_AUTH_STRING=login).stdout.splitlines())
    assert (found["PREFECT_SERVER_API_AUTH_STRING"], found["PREFECT_SERVER_API_HOST"]) == (login, "127.0.0.1")
    told = server_settings(PREFECT_SERVER_API_AUTH_STRING=login, PREFECT_SERVER_API_HOST="0.0.0.0")
    assert "PREFECT_SERVER_API_HOST=0.0.0.0\n" in told.stdout


def keys_of(config, place="PREFECT_LOGGING"):
    """Settings that override the logging configuration: the way to a value, in capitals."""
    for name, value in config.items():
        key = f"{place}_{name}".upper().replace(".", "_")
        if isinstance(value, dict):
            yield from keys_of(value, key)
        else:
            yield key


def test_every_setting_has_a_name_that_prefect_knows():
    files = subprocess.run(["git", "ls-files", *PLACES], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    texts = [(ROOT / file).read_text(errors="replace") for file in files]  # some are pictures
    written = {name for text in texts for name in re.findall(r"\bPREFECT_[A-Z0-9][A-Z0-9_]+", text)}
    assert "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE" in written
    logging = yaml.safe_load(prefect.logging.configuration.DEFAULT_LOGGING_SETTINGS_PATH.read_text())
    written = {name for name in written if not name.endswith("_")}  # beginnings, of all that follow
    # The bare beginning stands in this file; a profile is chosen before there are settings.
    known = {"PREFECT_LOGGING", "PREFECT_PROFILE", *keys_of(logging), *OF_KUBERNETES}
    assert {name for name in written if not hasattr(prefect.settings, name)} <= known
