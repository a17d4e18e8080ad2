"""What a figure depends on besides the code: the machine, the versions, the commit."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from emberharmony.threads import available_cores

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Machine:
    """The machine and the versions of a run of benchmarks."""

    cpu: str
    cores: int  # that this process may use
    load: float  # mean number of busy processes over a minute, before the benchmarks; far above 0, wall seconds mean little
    system: str
    python: str
    commit: str
    date: str
    versions: dict[str, str]

    @classmethod
    def here(cls, packages: Sequence[str]) -> Machine:
        """Describe this machine; packages that are not installed are left out."""
        return cls(
            cpu=_cpu(),
            cores=available_cores(),
            load=round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else 0.0,
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            commit=commit(),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={name: found for name in packages if (found := version_of(name))},
        )

    def __str__(self) -> str:
        """Return two lines: the machine, the versions."""
        machine = f"{self.cpu}, {self.cores} cores, load {self.load}; {self.system}, Python {self.python}"
        return f"{machine}, commit {self.commit}\n" + ", ".join(f"{name} {it}" for name, it in self.versions.items())


def print_machine(packages: Sequence[str]) -> None:
    """Print the machine and the package versions."""
    print(Machine.here(packages), flush=True)


def version_of(package: str) -> str:
    """Return the version of a package, or nothing if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def named(*packages: str) -> str:
    """Return packages with their versions, as a table names a peer."""
    return " + ".join(f"{name} {version_of(name)}".strip() for name in packages)


def commit() -> str:
    """Return the commit of the code, with a plus sign if files differ from it, or "unknown" outside of a repository."""
    try:
        name = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        return subprocess.run(name, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown CPU"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
