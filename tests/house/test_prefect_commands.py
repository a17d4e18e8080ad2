"""The `prefect` commands of the documentation are ones that the installed Prefect understands: parsed, not run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from uuid import UUID

import pytest

from flows.prefect.private import command_line

# Prefect's command line is imported in one process.
pytestmark = pytest.mark.xdist_group("prefect")

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "deploy/README.md",
    "deploy/server.env",
    "docs/scale.md",
    "prefect.yaml",
    "flows/cli/deploy.py",
    "flows/prefect/deployments.py",
    "flows/prefect/work_pools.py",
    "flows/prefect/server.py",
    "tasks/read_limit.py",
]
COMMAND = re.compile(r"(?:`|^\s*|do |\$ |\w=\S+ )prefect ((?:--no-prompt )?[a-z-]+ [^`;#\n]+)", re.MULTILINE)


def understands(command: str) -> bool:
    from cyclopts import CycloptsError

    try:
        # The option before a command is parsed by another app, which would run it.
        words = [str(UUID(int=0)) if word == "ID" else word for word in shlex.split(command.removeprefix("--no-prompt "))]
        command_line().parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError:
        return False
    return True


@pytest.mark.parametrize("page", PAGES)
def test_prefect_understands_the_commands_of(page):
    commands = [found.strip() for found in COMMAND.findall((ROOT / page).read_text())]
    assert [command for command in commands if not understands(command)] == []
    if page == "deploy/README.md":
        assert len(commands) == 17


@pytest.mark.parametrize("command", ["deployment schedule ls", "deployment schedules ls x", "server start --hosts 0.0.0.0"])
def test_a_command_that_is_none(command):
    assert not understands(command)
