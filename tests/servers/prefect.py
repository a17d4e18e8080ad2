"""A database of a Prefect server that was never used.

Making one takes Prefect eight seconds of migrations, more than the rest of a server's start. So it is made once, and all
tests of all sessions start with a copy.
"""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path


def unused_home() -> Path:
    """Folder with the database of this version of Prefect, which temporary servers copy; nothing writes to it."""
    from prefect import __version__

    from flows.prefect.temporary_server import temporary_server

    home = Path(__file__).parents[2] / "data" / f"prefect-{__version__}"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of a session would each make one
        if not (home / "prefect.db").exists():
            with temporary_server(home) as server:
                server.wait_until_ready()  # keeps its database there
    return home


def copy_database(home: Path) -> Path:
    """Give a new home of Prefect the database; returns the home."""
    home.mkdir(mode=0o700, parents=True)
    shutil.copy(unused_home() / "prefect.db", home)
    return home
