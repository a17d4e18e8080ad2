"""What the command imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.faults.victims import small_job

COMMAND = (
    "import sys; from emberharmony.__main__ import main\ntry: main()\nfinally: print([m for m in {} if m in sys.modules])"
)


SLOW = [
    "pandas", "sklearn", "torch", "mlx", "prefect", "rich.markdown", "numpy.f2py", "numpy.testing", "array_api_compat",
    "scipy", "google.cloud", "emberharmony.io.sources.bigquery.source", "emberharmony.io.sinks.bigquery.publish",
]  # fmt: skip


def test_little_is_imported_while_a_shell_waits_for_the_rest_of_a_word():
    variables = {"_EMBERHARMONY_COMPLETE": "complete_bash", "COMP_WORDS": "emberharmony sta", "COMP_CWORD": "1"}
    code = f"import sys; sys.argv[0] = 'emberharmony'; {COMMAND.format([*SLOW, 'rich.live', 'yaml'])}"
    environment = {**os.environ, **variables}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["status", "states", "[]"]


def test_a_small_job_imports_nothing_slow(tmp_path):
    """`emberharmony run` of 20,000 rows is to end in 1.5 s; each of these takes a tenth of that or more, or is never used."""
    job = small_job(tmp_path)
    job["runtime"].pop("engine")
    (tmp_path / "job.json").write_text(json.dumps(job))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND.format(SLOW), "run", str(tmp_path / "job.json"), "--quiet"],
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
