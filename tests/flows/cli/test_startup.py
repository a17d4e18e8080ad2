"""What the command imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.faults.victims import small_job

COMMAND = "import sys; from flows.cli.app import main\ntry: main()\nfinally: print([m for m in {} if m in sys.modules])"


@pytest.mark.parametrize("heavy", [["pandas", "sklearn", "torch", "mlx", "prefect", "rich.markdown"]])
def test_a_small_job_imports_nothing_slow(tmp_path, heavy):
    """`emberharmony run` of 20,000 rows is to end in 1.5 s; each of these takes a tenth of that or more."""
    job = small_job(tmp_path)
    job["runtime"].pop("engine")
    (tmp_path / "job.json").write_text(json.dumps(job))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND.format(heavy), "run", str(tmp_path / "job.json"), "--quiet"],
        env=environment | {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_pandas_can_be_imported_later():
    code = """
from flows.cli.startup import import_pyarrow_alone
import_pyarrow_alone()
import pyarrow as pa
from emberharmony.stats.hashing import hash_strings
a, b = hash_strings(pa.array(["x", "x"]))
assert a == b
"""
    subprocess.run([sys.executable, "-c", code], check=True)
