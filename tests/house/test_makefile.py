"""What `make` would do."""

import subprocess
from pathlib import Path


def test_clean_leaves_the_users_results():
    """The README puts tables and results into data/."""
    commands = subprocess.run(
        ["make", "--dry-run", "clean"], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    ).stdout
    assert "rm -rf .venv" in commands
    assert "data" not in commands
