"""What every run makes once in its process: the fork server of `tests.faults.victims` makes it for all of them."""

from __future__ import annotations

from emberharmony.features.kinds.registry import KINDS, _reader
from emberharmony.threads import one_blas_thread
from flows.config.job import Job
from flows.config.strict_schema import strict_validator
from flows.prefect.settings import load_prefect
from flows.run import quiet_prefect

quiet_prefect()
load_prefect()
strict_validator(Job)
for _kind in KINDS:
    _reader(_kind)
with one_blas_thread():  # looks for libraries, and again when there are more modules: so this one is the last
    pass
