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
    written = {name for file in files for name in re.findall(r"\bPREFECT_[A-Z0-9][A-Z0-9_]+", (ROOT / file).read_text())}
    assert "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE" in written
    logging = yaml.safe_load(prefect.logging.configuration.DEFAULT_LOGGING_SETTINGS_PATH.read_text())
    written = {name for name in written if not name.endswith("_")}  # beginnings, of all that follow
    # The bare beginning stands in this file; a profile is chosen before there are settings.
    known = {"PREFECT_LOGGING", "PREFECT_PROFILE", *keys_of(logging), *OF_KUBERNETES}
    assert {name for name in written if not hasattr(prefect.settings, name)} <= known
