"""Progress is logged, or written to standard error."""

import logging
import subprocess
import sys

from emberharmony.features import TerabyteTemporalStrideProcessor
from tests.frames import rows_of


def test_progress_is_logged_unless_told_not_to(caplog):
    caplog.set_level(logging.INFO, "emberharmony")
    TerabyteTemporalStrideProcessor(verbose=False).process_batch(rows_of(50))
    assert not caplog.records
    TerabyteTemporalStrideProcessor().process_batch(rows_of(50))
    assert "50 rows so far" in caplog.text


def test_progress_needs_no_logging_configured():
    code = """
import logging, sys
import numpy as np
from emberharmony.features import TerabyteTemporalStrideProcessor

rows = np.random.default_rng(0).normal(size=(50, 2))
for verbose in (False, True):
    TerabyteTemporalStrideProcessor(2, (1,), 1, verbose=verbose).process_batch(rows)
    print("done", file=sys.stderr)
assert not logging.getLogger().handlers
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    silent, spoken, rest = told.stderr.split("done\n")
    assert "rows so far" not in silent
    assert "50 rows so far" in spoken
    assert not rest
    assert not told.stdout
