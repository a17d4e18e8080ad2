"""The section `runtime` of a job."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from flows.config.runtime import Runtime


def test_an_engine_looks_at_its_settings():
    assert Runtime().engine == "auto"
    with pytest.raises(ValidationError):
        Runtime(engine="steam")
    with pytest.raises(ValidationError):
        Runtime(max_memory_gb=0)
