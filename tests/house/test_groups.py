"""Tests of a group run one after another in one process, because they share a server or a folder."""

import os

import pytest

from tests.conftest import LONGEST_GROUPS

pytestmark = pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process runs all tests")


@pytest.mark.xdist_group("a-group")
def test_groups_are_known_to_what_shares_out_the_tests(request):
    assert request.node.nodeid.endswith("@a-group")  # xdist distributes tests by this suffix


def test_the_longest_groups_begin_first(request):
    """A long group that starts last would keep one worker busy while the others are idle."""
    marks = [item.get_closest_marker("xdist_group") for item in request.session.items]
    groups = list(dict.fromkeys(mark.args[0] if mark else None for mark in marks))
    known = [group for group in LONGEST_GROUPS if group in groups]
    assert groups[: len(known)] == known
    assert {*groups[len(known) :]} <= {None, "a-group"}, "Add the new group to LONGEST_GROUPS of tests/conftest.py."
