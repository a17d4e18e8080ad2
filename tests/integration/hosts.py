"""Hosts that share no folder: processes with a home and a working directory of their own.

Where the system allows it, each has a mount namespace, too, so that a common folder cannot work by accident.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNSHARE = ["unshare", "--mount"] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
HOST = 'mount -t tmpfs -o mode=0700 none "$HIDDEN" && mkdir -p "$HOME" "$TMPDIR" && cd "$HOME" && exec "$@"'


@cache
def why_not() -> str:
    """Why this machine cannot have such hosts; empty if it can."""
    if shutil.which("unshare") is None:
        return "there is no `unshare`"
    tried = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"no mount namespaces here: {tried.stderr.strip()}"


@contextmanager
def host(
    name: str, command: Sequence[str], environment: Mapping[str, str], hidden: Path, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python command on a host of its own, until the end of the block.

    Parameters
    ----------
    name : str
        Name of its home, below `hidden`.
    command : sequence of str
        Arguments of Python.
    environment : mapping
        Its environment.
    hidden : Path
        Folder in which this host sees nothing but what it writes there itself.
    log : Path
        File for its output.
    """
    home = hidden / name
    (home / "tmp").mkdir(parents=True)
    isolated = [] if why_not() else [*UNSHARE, "sh", "-c", HOST, "sh"]
    own = {"HIDDEN": str(hidden), "HOME": str(home), "TMPDIR": str(home / "tmp"), "PREFECT_HOME": str(home / ".prefect")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*isolated, sys.executable, *command],
            env={**environment, **own},
            cwd=home,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def seen_by(process: subprocess.Popen[bytes], path: Path) -> Path:
    """What is at a path for a host: its own files, not ours."""
    return Path(f"/proc/{process.pid}/root") / path.relative_to("/")
