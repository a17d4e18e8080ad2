"""The validator of jobs: the fork server of `tests.faults.victims` makes it once instead of in every run."""

from __future__ import annotations

from flows.config.job import Job
from flows.config.strict_schema import strict_validator

strict_validator(Job)
