"""Every module has a file of tests of its name: `emberharmony/io/parts.py` has `tests/emberharmony/io/test_parts.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("emberharmony", "flows", "tasks")
EXEMPT = {
    "emberharmony/features/terabyte_feature_extractor.py": "the guide imports a class from here",
    "emberharmony/features/terabyte_temporal_stride_processor.py": "the guide imports a class from here",
    "emberharmony/typing.py": "names of types",
    "emberharmony/version.py": "a number",
    "emberharmony/features/kinds/base.py": "a protocol",
    "emberharmony/io/sinks/base.py": "a protocol",
    "emberharmony/io/sources/parquet/files.py": "protocols",
    "emberharmony/io/store/objects.py": "a protocol",
    "emberharmony/io/store/result.py": "a protocol",
    "emberharmony/io/store/snapshot.py": "a protocol",
    "emberharmony/pipeline/job.py": "a protocol",
    "flows/cli/options.py": "names of types",
}
"""Modules that hold nothing to test, and why."""

BY_SERVERS = {
    "emberharmony/io/bigquery/read.py": "tests/integration/test_bigquery_read.py",
    "emberharmony/io/sinks/bigquery/append.py": "tests/integration/test_bigquery_sink_tables.py",
    "emberharmony/io/sinks/bigquery/bucket.py": "tests/integration/test_bigquery_bucket.py",
    "emberharmony/io/sinks/bigquery/load.py": "tests/integration/test_bigquery_sink.py",
    "emberharmony/io/sinks/bigquery/publication.py": "tests/integration/test_bigquery_sink.py",
    "emberharmony/io/sources/bigquery/materialise.py": "tests/integration/test_bigquery_unordered.py",
    "emberharmony/io/sources/bigquery/plan.py": "tests/integration/test_bigquery_source.py",
    "emberharmony/io/sources/bigquery/read.py": "tests/integration/test_bigquery_source.py",
    "emberharmony/io/sources/bigquery/source.py": "tests/integration/test_bigquery_source.py",
    "emberharmony/io/sources/bigquery/table.py": "tests/integration/test_bigquery_source.py",
    "flows/engines/processes.py": "tests/laws/test_engines.py",
    "flows/engines/threads.py": "tests/laws/test_engines.py",
}
"""Modules that only work with a server, and where they are tested with one."""


def file_for(module: Path) -> Path:
    """Where the tests of a module are."""
    by_server = BY_SERVERS.get(module.as_posix())
    return ROOT / by_server if by_server else ROOT / "tests" / module.parent / f"test_{module.stem.lstrip('_')}.py"


MODULES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


def test_every_module_has_a_file_of_tests():
    missing = [module.as_posix() for module in MODULES if not file_for(module).exists()]
    assert sorted({*missing} - EXEMPT.keys()) == [], "write a file of tests for each"


@pytest.mark.parametrize("module", EXEMPT)
def test_what_holds_nothing_to_test_has_no_file(module):
    assert (ROOT / module).exists(), "the module is gone: take it off the list"
    assert not file_for(Path(module)).exists(), "it has a file of tests now: take it off the list"


@pytest.mark.parametrize("module", BY_SERVERS)
def test_what_is_tested_with_a_server_has_no_other_file(module):
    assert (ROOT / module).exists(), "the module is gone: take it off the list"
    assert not (ROOT / "tests" / Path(module).parent / f"test_{Path(module).stem}.py").exists(), "it has a file of its own"
