"""Tests of a group run one after another in one process, because they share a server or a folder; those of a file as well."""

import os
from pathlib import Path

import pytest

from tests.sharing_out import LONGEST, Scheduling

with_workers = pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process runs all tests")


@with_workers
@pytest.mark.xdist_group("a-group")
def test_groups_are_known_to_what_shares_out_the_tests(request):
    assert request.node.nodeid.endswith("@a-group")  # xdist distributes tests by this suffix


@pytest.mark.parametrize(
    ("test", "scope"),
    [
        ("tests/a/test_b.py::test_c[1-x]", "tests/a/test_b.py"),
        ("tests/a/test_b.py::TestD::test_c", "tests/a/test_b.py"),
        ("tests/a/test_b.py::test_c[a@b::c]", "tests/a/test_b.py"),
        ("tests/a/test_b.py::test_c[1]@group", "group"),
        ("emberharmony/a.py::emberharmony.a.b", "emberharmony/a.py"),
    ],
)
def test_one_worker_runs_the_tests_of_a_group_or_a_file(test, scope):
    assert object.__new__(Scheduling)._split_scope(test) == scope


@with_workers
def test_the_longest_groups_begin_first(request):
    """A long group that starts last would keep one worker busy while the others are idle."""
    marks = [item.get_closest_marker("xdist_group") for item in request.session.items]
    groups = list(dict.fromkeys(mark.args[0] if mark else None for mark in marks))
    known = [group for group in LONGEST if group in groups]
    assert groups[: len(known)] == known
    assert {*groups[len(known) :]} <= {None, "a-group"}, "Add the new group to LONGEST of tests/sharing_out.py."


def test_the_longest_files_exist():
    root = Path(__file__).parents[1]
    assert [file for file in LONGEST if file.endswith(".py") and not (root / file).exists()] == []
