"""Progress is logged, or written to standard error."""

import logging
import subprocess
import sys

import pytest

from emberharmony.features import TerabyteTemporalStrideProcessor
from tests.frames import rows_of


def test_progress_is_logged_unless_told_not_to(caplog):
    caplog.set_level(logging.INFO, "emberharmony")
    TerabyteTemporalStrideProcessor(verbose=False).process_batch(rows_of(50))
    assert not caplog.records
    TerabyteTemporalStrideProcessor().process_batch(rows_of(50))
    assert "50 rows so far" in caplog.text


@pytest.mark.parametrize("verbose", [True, False])
def test_progress_needs_no_logging_configured(verbose):
    code = (
        "import numpy as np; from emberharmony.features import TerabyteTemporalStrideProcessor as P"
        f"; P(2, (1,), 1, verbose={verbose}).process_batch(np.random.default_rng(0).normal(size=(50, 2)))"
        "; import logging; assert not logging.getLogger().handlers"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ("50 rows so far" in told.stderr) == verbose
    assert not told.stdout
