"""A job through the console script, and what a refusal of it has to look like."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.console import run_console

TIMEOUT_S = 120


def run(source, sink, *, preexec_fn=None, **job):
    """Run a job through the console script, in a process of its own."""
    whole = {
        "source": {"path": str(source)},
        "sink": {"path": str(sink)},
        "columns": {"time": "t"},
        "runtime": {"engine": "local", "backend": "numpy"},
    } | job
    config = Path(source).parent / "job.yaml"
    config.write_text(yaml.safe_dump(whole))
    return run_config(config, preexec_fn=preexec_fn)


def run_config(config, *options, preexec_fn=None):
    arguments = ["run", str(config), *options]
    environment = {**os.environ, "PREFECT_HOME": str(Path(config).parent / "prefect"), "COLUMNS": "100"}
    if preexec_fn is None:
        return run_console(arguments, environment)
    command = [str(Path(sys.executable).with_name("emberharmony")), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, preexec_fn=preexec_fn, check=False
    )


def assert_refused(result, sink, *words):
    """One paragraph that holds the words, no traceback, exit status not zero, nothing that a reader would find."""
    said = f"{result.stdout}\n{result.stderr}"
    assert result.returncode not in (0, None), said
    assert result.returncode > 0, f"killed by signal {-result.returncode}: {said}"
    assert "Traceback" not in said, said
    errors = [paragraph for paragraph in re.split(r"\n\s*\n", result.stderr.strip()) if "error" in paragraph]
    assert len(errors) == 1, said
    # Lines before it tell what was under way; the error is the last thing said, in few words.
    error = errors[0][errors[0].index("error") :]
    assert len(error.splitlines()) <= 6, said
    assert "error" in error.splitlines()[0]
    for word in words:
        assert re.search(word, error, re.IGNORECASE), f"{word!r} is not in: {error}"
    assert not published(sink), said


def published(sink):
    try:
        return sorted(path.name for path in Path(sink).iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def assert_done(result, sink):
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    return json.loads((sink / "manifest.json").read_text())
