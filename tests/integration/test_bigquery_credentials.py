"""A block of Prefect, by its name alone, becomes the credentials that a connection uses."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials

import tasks
from emberharmony.errors import TerminalError, TransientError
from emberharmony.io.bigquery import BigQueryConnection
from emberharmony.io.bigquery import connection as connection_module
from emberharmony.io.bigquery.connection import find_credentials

pytestmark = pytest.mark.xdist_group("bigquery-sink")


@pytest.fixture(autouse=True)
def loader(monkeypatch) -> None:
    """What importing `tasks` registers, whichever loader another test has left."""
    monkeypatch.setattr(connection_module, "_block_loaders", [])
    importlib.reload(tasks)


@pytest.fixture
def blocks(monkeypatch) -> dict:
    found = {}

    def load(name):
        if name not in found:
            raise ValueError(f"Unable to find block document named {name}")
        return SimpleNamespace(get_credentials_from_service_account=lambda: found[name])

    monkeypatch.setitem(sys.modules, "prefect_gcp", SimpleNamespace(GcpCredentials=SimpleNamespace(load=load)))
    return found


def test_a_block(blocks):
    blocks["prod"] = AnonymousCredentials()
    connection = BigQueryConnection(project="mine", credentials_block="prod")
    assert find_credentials(connection) == (blocks["prod"], "mine")
    with pytest.raises(TerminalError, match="no GcpCredentials block 'test'"):
        find_credentials(BigQueryConnection(project="mine", credentials_block="test"))


def test_prefect_that_does_not_answer(monkeypatch):
    def load(name):
        raise httpx.ConnectError("refused")

    monkeypatch.setitem(sys.modules, "prefect_gcp", SimpleNamespace(GcpCredentials=SimpleNamespace(load=load)))
    with pytest.raises(TransientError, match=r"'prod'.*PREFECT_API_URL"):
        find_credentials(BigQueryConnection(project="mine", credentials_block="prod"))


def test_without_prefect_gcp(monkeypatch):
    monkeypatch.setitem(sys.modules, "prefect_gcp", None)
    with pytest.raises(TerminalError, match="pip install prefect-gcp"):
        find_credentials(BigQueryConnection(project="mine", credentials_block="prod"))
