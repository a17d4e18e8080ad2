"""What the fork server of `tests.faults.victims` makes once instead of in every run, where it takes a tenth of a second."""

from __future__ import annotations

from emberharmony.pipeline.spec import spec_adapter

spec_adapter()
