"""Strict validation: no value becomes one of another type, but lists are tuples and mappings dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import BaseModel, ValidationError

from flows.config.strict_schema import strict_validator


@dataclass(frozen=True)
class Inner:
    sizes: tuple[int, ...] = ()


class Model(BaseModel):
    size: int = 1
    share: float = 0.5
    name: str = ""
    flag: bool = False
    inner: Inner = Inner()


def test_values_of_the_right_type_are_accepted():
    found = strict_validator(Model).validate_python(
        {"size": 3, "share": 1, "name": "a", "flag": True, "inner": {"sizes": [1, 2]}}
    )
    assert found == Model(size=3, share=1.0, name="a", flag=True, inner=Inner((1, 2)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": "5"},
        {"size": True},
        {"size": 1.0},
        {"size": 2**63},
        {"share": "0.5"},
        {"share": float("nan")},
        {"name": 5},
        {"flag": 1},
        {"flag": "yes"},
        {"inner": {"sizes": ["1"]}},
        {"inner": {"sizes": 1}},
    ],
    ids=str,
)
def test_nothing_is_converted(wrong):
    with pytest.raises(ValidationError):
        strict_validator(Model).validate_python(wrong)


def test_a_validator_is_made_once():
    assert strict_validator(Model) is strict_validator(Model)
