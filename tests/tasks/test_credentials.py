"""Credentials from a block of Prefect, which a module stands for; what is missing is named with the remedy."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import httpx
import pytest

from emberharmony.errors import TerminalError, TransientError
from tasks.credentials import load_gcp_credentials, load_secret


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


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ValueError("Unable to find block document"), TerminalError, "Prefect has no block 'lake' of type Secret"),
        (httpx.ConnectError("refused"), TransientError, "did not return the block 'lake' (ConnectError)"),
    ],
)
def test_a_secret_that_cannot_be_loaded(monkeypatch, error, kind, said):
    from prefect.blocks.system import Secret

    def load(name):
        raise error

    monkeypatch.setattr(Secret, "load", load)
    with pytest.raises(kind) as told:
        load_secret("lake")
    assert said in str(told.value)


def test_a_secret_is_what_the_block_holds(monkeypatch):
    from prefect.blocks.system import Secret

    monkeypatch.setattr(Secret, "load", lambda name: SimpleNamespace(get=lambda: {"access_key_id": name}))
    assert load_secret("lake") == {"access_key_id": "lake"}
