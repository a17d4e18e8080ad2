"""The results of a run of benchmarks: one table, JSON, and a plot of how far the targets are reached."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine
from benchmarks.workbench import Measurement

HEADINGS = ("what", "ours", "beside", "its cost", "ratio", "CPU", "target", "met")
_MET = {True: "yes", False: "NO", None: ""}


@dataclass(frozen=True)
class Results:
    """Rows, what was left out and why, and the machine."""

    machine: Machine
    rows: Sequence[Measurement]
    left_out: dict[str, str]  # reasons, by the name of the benchmark
    failed: dict[str, str]  # errors, likewise
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the results as plain values; numbers that are not known are null."""
        return {
            "machine": asdict(self.machine),
            "seconds": round(self.seconds, 1),
            "rows": [_row_of(row) for row in self.rows],
            "left_out": self.left_out,
            "failed": self.failed,
        }

    def table(self) -> str:
        """Return the table as text."""
        lines = [HEADINGS, *map(_cells, self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def write(self, folder: Path) -> list[Path]:
        """Write `bench.json`, and `bench.svg` if matplotlib is installed; returns the paths."""
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / "bench.json"]
        written[0].write_text(json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        try:
            import matplotlib as mpl
        except ImportError:
            return written
        mpl.use("svg")
        mpl.rcParams["svg.fonttype"] = "none"  # text stays text: small, and can be searched
        written.append(folder / "bench.svg")
        self._plot(written[1])
        return written

    def _plot(self, path: Path) -> None:
        import matplotlib.pyplot as plt

        rows = [row for row in reversed(self.rows) if row.target]
        reached = [row.target.reached(row.ratio) for row in rows if row.target]
        figure, axes = plt.subplots(figsize=(9, 1.2 + 0.3 * len(rows)), layout="constrained")
        colours = ["#3b7dd8" if it >= 1 else "#d8703b" for it in reached]
        axes.barh(range(len(rows)), [it - 1 for it in reached], left=1, color=colours)
        for place, row in enumerate(rows):
            axes.annotate(f" {row.ratio:.3g} ({row.target})", (max(reached[place], 1), place), va="center", fontsize=8)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        for of_ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            of_ticks("{x:g}")
        axes.margins(x=0.2)
        axes.set_yticks(range(len(rows)), [f"{row.what}, beside {row.beside}" for row in rows], fontsize=8)
        axes.set_xlabel("share of the target that is reached: right of the line it is met")
        axes.set_title(f"{self.machine.cpu}, {self.machine.cores} cores, commit {self.machine.commit}", fontsize=9)
        figure.savefig(path)
        plt.close(figure)


def _row_of(row: Measurement) -> dict[str, Any]:
    return {
        "what": row.what,
        "ours": row.ours,
        "beside": row.beside,
        "its_cost": row.other,
        "ratio": _known(row.ratio),
        "cpu_ratio": _known(row.cpu_ratio),
        "target": str(row.target) if row.target else None,
        "met": row.is_met,
    }


def _known(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _cells(row: Measurement) -> tuple[str, ...]:
    cpu = "" if math.isnan(row.cpu_ratio) else f"{row.cpu_ratio:.2f}"
    target = str(row.target) if row.target else ""
    return row.what, row.ours, row.beside, row.other, f"{row.ratio:.2f}", cpu, target, _MET[row.is_met]
