"""What the command does before it imports anything large."""

from __future__ import annotations

import sys


class _NoPandas:
    """A finder that finds no pandas."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def prepare_process(*, pandas: bool = False) -> None:
    """Do what comes before the first large import: import pyarrow alone, unless pandas is used, and limit the arenas."""
    if not pandas:
        import_pyarrow_alone()
    from emberharmony.planning.resident import limit_arenas

    limit_arenas()


def import_pyarrow_alone() -> None:
    """Import pyarrow such that it does not import pandas, which takes as long as all else that a small job needs.

    The first `pyarrow.array` of a process looks for pandas, whatever it makes an array of, and remembers what it found. No job
    of the command converts from or to pandas. Those that hash strings import pandas themselves.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type] - it has the one method that an import asks for
    try:
        pa.array([None])
    finally:
        sys.meta_path.remove(finder)  # type: ignore[arg-type]
