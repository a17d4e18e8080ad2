"""Importing is free: nothing heavy is loaded, nothing of the host is changed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LOOK = """
import json, logging, os, sys
root = logging.getLogger()
before = (root.level, list(root.handlers), dict(os.environ))
import {module}
after = (root.level, list(root.handlers), dict(os.environ))
print(json.dumps([sorted({{name.split(".")[0] for name in sys.modules}}), before == after]))
"""


HELP = """
import sys, time
from flows.cli.app import main
sys.argv = ["emberharmony", "--help"]
try:
    main()
except SystemExit:
    pass
print(time.process_time(), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("emberharmony", {"torch", "mlx", "prefect", "pandas", "pyarrow", "sklearn", "scipy", "pydantic"}),
        ("emberharmony.ops", {"torch", "mlx", "prefect", "pandas", "sklearn"}),
        ("emberharmony.pipeline.stages", {"torch", "mlx", "prefect", "pandas", "sklearn", "obstore"}),
        ("emberharmony.io.sources.parquet.source", {"torch", "mlx", "prefect", "pandas", "sklearn", "obstore"}),
        ("flows.cli.app", {"torch", "mlx", "prefect", "pandas", "pyarrow", "numpy", "pydantic"}),
        ("flows.config.job", {"torch", "mlx", "prefect", "pandas", "sklearn", "obstore"}),
    ],
)
def test_imports_are_light(module, heavy):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOK.format(module=module)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    loaded, unchanged = json.loads(done.stdout)
    assert not heavy & set(loaded)
    assert unchanged  # the root logger and the environment


def test_help_answers_at_once():
    """In the time of a process's own processor; a machine that is busy otherwise is no fault."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "run" in done.stdout
    assert "demo" in done.stdout
    assert float(done.stderr) < 2.0  # 0.5 s on an idle machine; importing Prefect would take 3
    assert time.perf_counter() - began < 60.0
