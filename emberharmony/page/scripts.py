"""The scripts that draw charts: Vega and Vega-Lite, in one text without references to other places."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from emberharmony.errors import MissingLibraryError

_PACKAGE: Final = "vl-convert-python"
# Without vega-embed, which the page does not use, 1.9.0 leaves Vega-Lite out as well.
_PROGRAM: Final = "import sys, vl_convert; sys.stdout.write(vl_convert.javascript_bundle())"
INSTALL: Final = "pip install 'emberharmony[report]'"


def has_scripts() -> bool:
    """Whether the library is installed that the scripts come from."""
    return find_spec("vl_convert") is not None


def scripts() -> str:
    """Return the scripts. They are made once for each user and version of the library, which takes three seconds.

    Raises
    ------
    MissingLibraryError
        If that library is not installed.
    """
    if not has_scripts():
        raise MissingLibraryError(f"A report needs {_PACKAGE}, which is not installed. Install it: {INSTALL}")
    kept = cache_folder() / f"vega-{metadata.version(_PACKAGE)}.js"
    with suppress(OSError):
        return kept.read_text(encoding="utf-8")
    # In a process of its own: it holds a whole JavaScript engine, 100 MB, until it ends.
    made = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True, encoding="utf-8").stdout
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_name(f"{kept.name}.{os.getpid()}")
        fresh.write_text(made, encoding="utf-8")
        fresh.replace(kept)  # another process may do the same: both have the same content
    return made


def cache_folder() -> Path:
    """Return where this user's programs keep what they can make again."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "emberharmony"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emberharmony"
