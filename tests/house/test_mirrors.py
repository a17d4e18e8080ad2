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

UNTESTED = [
    "emberharmony/backend/_mlx/arrays.py",
    "emberharmony/backend/_mlx/indexing.py",
    "emberharmony/backend/_selection.py",
    "emberharmony/backend/_torch/arrays.py",
    "emberharmony/backend/_torch/indexing.py",
    "emberharmony/io/bigquery/read.py",
    "emberharmony/io/sinks/bigquery/append.py",
    "emberharmony/io/sinks/bigquery/bucket.py",
    "emberharmony/io/sinks/bigquery/load.py",
    "emberharmony/io/sinks/bigquery/publication.py",
    "emberharmony/io/sources/bigquery/materialise.py",
    "emberharmony/io/sources/bigquery/plan.py",
    "emberharmony/io/sources/bigquery/read.py",
    "emberharmony/io/sources/bigquery/source.py",
    "emberharmony/io/sources/bigquery/table.py",
    "emberharmony/io/sources/parquet/plan.py",
    "emberharmony/io/sources/parquet/read.py",
    "emberharmony/io/sources/parquet/table.py",
    "emberharmony/io/store/local_result.py",
    "emberharmony/ops/_owned.py",
    "emberharmony/ops/_tensor.py",
    "emberharmony/pipeline/apply.py",
    "emberharmony/pipeline/arrange.py",
    "emberharmony/pipeline/chunk_stages.py",
    "flows/cli/console.py",
    "flows/engines/processes.py",
    "flows/engines/threads.py",
    "flows/fit.py",
    "flows/plan.py",
    "flows/prefect/server_process.py",
]
"""Modules that are tested only by way of others. This list only shrinks: take a module off it when you write its file."""


def file_for(module: Path) -> Path:
    """Where the tests of a module are."""
    return ROOT / "tests" / module.parent / f"test_{module.stem.lstrip('_')}.py"


MODULES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


def test_every_module_has_a_file_of_tests():
    missing = [module.as_posix() for module in MODULES if not file_for(module).exists()]
    new = sorted({*missing} - {*UNTESTED} - EXEMPT.keys())
    assert new == [], "write a file of tests for each"


@pytest.mark.parametrize("module", [*UNTESTED, *EXEMPT])
def test_the_list_only_shrinks(module):
    assert (ROOT / module).exists(), "the module is gone: take it off the list"
    assert not file_for(Path(module)).exists(), "it has a file of tests now: take it off the list"
