"""What each type of source can do besides reading chunks."""

import pytest

from emberharmony.io.sources import capabilities
from emberharmony.io.sources.capabilities import (
    ArrangedByServer,
    Catalogued,
    Pinned,
    ProfiledByQuery,
    RowGroups,
    RowsInFiles,
    Sampled,
    StoredFiles,
    TiesOrdered,
)
from emberharmony.io.sources.registry import SOURCES, open_source
from tests.emberharmony.io.sources.test_registry import SPECS

EVERY = [found for found in vars(capabilities).values() if getattr(found, "__module__", None) == capabilities.__name__]
CAPABILITIES = {
    "parquet": {RowGroups, RowsInFiles, Sampled, StoredFiles, Catalogued},
    "bigquery": {ArrangedByServer, Pinned, ProfiledByQuery, Sampled, TiesOrdered},
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_can_do_what_is_listed_here_and_nothing_else(name):
    opened = open_source(SPECS[name])
    assert {capability for capability in EVERY if isinstance(opened, capability)} == CAPABILITIES[name]


def test_each_capability_is_that_of_some_source():
    assert {*EVERY} == set.union(*CAPABILITIES.values())
