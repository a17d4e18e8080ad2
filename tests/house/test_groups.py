"""Tests of a group run one after another in one process, because they share a server or a folder."""

import os

import pytest

pytestmark = pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process runs all tests")


@pytest.mark.xdist_group("a-group")
def test_groups_are_known_to_what_shares_out_the_tests(request):
    assert request.node.nodeid.endswith("@a-group")  # xdist distributes tests by this suffix
