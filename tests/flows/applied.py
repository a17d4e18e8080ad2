"""Jobs that apply a state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

RUNTIME = {"workers": 1, "backend": "numpy", "engine": "local"}


def fields(state: Path, source: Path, sink: Path, **runtime: Any) -> dict[str, Any]:
    places = {"state": str(state), "source": {"path": str(source)}, "sink": {"path": str(sink)}}
    return {**places, "runtime": RUNTIME | runtime}


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
