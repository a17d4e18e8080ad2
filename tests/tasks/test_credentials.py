"""Credentials from a block of Prefect, which a module stands for; what is missing is named with the remedy."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import httpx
import pytest

from emberharmony.errors import TerminalError, TransientError
from tasks.credentials import load_gcp_credentials


@pytest.fixture
def block(monkeypatch):
    """What loading a block raises or returns."""
    answer = SimpleNamespace(error=None)

    def load(name):
        if answer.error:
            raise answer.error
        return SimpleNamespace(get_credentials_from_service_account=lambda: f"credentials of {name}")

    module = ModuleType("prefect_gcp")
    module.GcpCredentials = SimpleNamespace(load=load)
    monkeypatch.setitem(sys.modules, "prefect_gcp", module)
    return answer


def test_credentials_are_those_of_the_block(block):
    assert load_gcp_credentials("nightly") == "credentials of nightly"


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ValueError("Unable to find block document"), TerminalError, "Prefect has no GcpCredentials block 'nightly'"),
        (httpx.ConnectError("refused"), TransientError, "did not return the credentials block 'nightly' (ConnectError)"),
    ],
)
def test_blocks_that_cannot_be_loaded(block, error, kind, said):
    block.error = error
    with pytest.raises(kind) as told:
        load_gcp_credentials("nightly")
    assert said in str(told.value)


def test_without_prefect_gcp(monkeypatch):
    monkeypatch.setitem(sys.modules, "prefect_gcp", None)
    with pytest.raises(TerminalError, match="pip install prefect-gcp"):
        load_gcp_credentials("nightly")
