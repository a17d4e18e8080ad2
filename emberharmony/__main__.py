"""The command line, started as `emberharmony` or ``python -m emberharmony``."""

from __future__ import annotations

import atexit
import gc
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("configs", "flows", "tasks")
"""Packages that are installed beside this one; their names are common, so the user's folder may have its own."""


def main() -> None:
    """Run the console script on this installation's own packages."""
    gc.disable()  # what is imported stays: looking for garbage among it, now and at the end, takes a fifth of the start-up
    prefer_own_packages()
    from flows.cli.app import main as run_command

    gc.freeze()
    gc.enable()
    atexit.register(gc.freeze)
    run_command()


def prefer_own_packages() -> None:
    """Import this installation's own packages, whatever others of the same names are on `sys.path`.

    The working directory comes first with ``python -m``, and folders in PYTHONPATH come before installed packages. Worker
    processes need the same: multiprocessing hands them `sys.path` as it is here, and the workers of a local Ray cluster call
    this function.
    """
    root = Path(__file__).resolve().parents[1]
    if not all(_is_in(root, name) for name in PACKAGES):
        sys.path.insert(0, str(root))
    # Imported now, because a Ray worker puts the working directory first once it has a task.
    import configs  # noqa: F401
    import flows  # noqa: F401
    import tasks  # noqa: F401


def _is_in(root: Path, package: str) -> bool:
    spec = find_spec(package)
    # A namespace package, a folder without __init__.py, has no origin.
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve().parents[1] == root


if __name__ == "__main__":
    main()
