"""Which tests one worker of pytest-xdist runs: those of a group, or those of a file, so that what they share is made once.

pytest-xdist gives each test without a group to any worker, and each worker then makes what the tests of its file share, which
one would make once. Measured with six workers: 100 s of CPU time in a run of all tests.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadGroupScheduling

LONGEST = (
    "pools",
    "bigquery-job",
    "bigquery-sink",
    "prefect-engines",
    "prefect-killed",
    "stores",
    "prefect",
    "readme",
    "wheel",
    "tests/laws/test_chunking.py",
    "tests/laws/test_simulation.py",
    "tests/emberharmony/test_projection.py",
    "tests/faults/test_killed_delta.py",
    "tests/laws/test_settings.py",
)
"""Groups and files that take a minute or more, longest first. They start before all others.

The tests with BigQuery are two groups, and those with Prefect three, each with a server of its own: together they would take
longer than all others.
"""


class Scheduling(LoadGroupScheduling):
    """Gives all tests of a file to one worker, unless they are in a group."""

    def _split_scope(self, nodeid: str) -> str:
        return _file_of(super()._split_scope(nodeid))


def place(item: pytest.Item) -> int:
    """Where a test is among the others, to sort them by it."""
    mark = item.get_closest_marker("xdist_group")
    scope = mark.args[0] if mark else _file_of(item.nodeid)
    return LONGEST.index(scope) if scope in LONGEST else len(LONGEST)


def _file_of(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]
