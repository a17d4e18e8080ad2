"""Install the locked torch into this environment: its CPU build if the machine has no NVIDIA GPU.

The default Linux wheel depends on several GB of CUDA packages; a build tagged `+cpu` does not. pip finds such a build if an
index or folder in PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS offers one. Otherwise the default wheel is installed, with a message.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def main() -> None:
    locked = re.search(r"^torch==(\S+)$", CONSTRAINTS.read_text(), re.MULTILINE)
    if locked is None:
        sys.exit(f"{CONSTRAINTS} names no torch version.")
    release = locked.group(1)
    try:
        if version("torch").split("+")[0] == release:
            return
    except PackageNotFoundError:
        pass
    brings_cuda = platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64")
    if brings_cuda and shutil.which("nvidia-smi") is None:
        if pip_install(f"torch=={release}+cpu", quiet=True):
            return
        print(
            f"No GPU here, and no index offers torch {release}+cpu: taking the plain wheel and several GB of CUDA packages.\n"
            "Name PyTorch's CPU index in PIP_EXTRA_INDEX_URL to avoid that.",
            flush=True,
        )
    if not pip_install(f"torch=={release}"):
        sys.exit(f"torch {release} could not be installed; pip's reason is above.")


def pip_install(requirement: str, *, quiet: bool = False) -> bool:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    command += ["--constraint", str(CONSTRAINTS), requirement]
    return subprocess.run(command, stderr=subprocess.DEVNULL if quiet else None, check=False).returncode == 0


if __name__ == "__main__":
    main()
