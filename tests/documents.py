"""The pages of the documentation, and their blocks of code.

A block that the tests cannot run says in its title what it needs, which readers see, too: ``sh title="Needs a bucket"``.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from flows.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*(ROOT / "docs").glob("*.md"), *map(ROOT.joinpath, ("README.md", "CONTRIBUTING.md", "deploy/README.md"))]
)

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)(?P<title>.*)\n(?P<text>(?:.*\n)*?)(?P=indent)```$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def needs(self) -> bool:
        """Whether it needs something that the tests do not have."""
        return self.title.startswith("Needs ")

    @property
    def lines(self) -> list[str]:
        """Its lines; comments and empty ones are left out, continued ones are one."""
        lines = (re.sub(r"(^|\s+)# .*", "", line).strip() for line in self.text.replace("\\\n", " ").splitlines())
        return [line for line in lines if line]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of a page, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [_block(page, text, found) for found in _FENCE.finditer(text)]


def _block(page: str, text: str, found: re.Match[str]) -> Block:
    title = re.fullmatch(r'(?: title="([^"]*)")?', found["title"])
    line = text.count("\n", 0, found.start()) + 1
    assert title is not None, f"{page}:{line}: {found['title']}"
    return Block(page, line, found["language"], title[1] or "", textwrap.dedent(found["text"]))


def fences(page: str) -> int:
    """Return how many lines of a page begin or end a block."""
    return len(re.findall(r"^ *```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))


def words_of(line: str) -> list[str]:
    """Return the words of a command, without the variables before it and the folder of the environment."""
    words = shlex.split(line)
    while words and re.match(r"\w+=", words[0]):
        words.pop(0)
    return [words[0].removeprefix(".venv/bin/"), *words[1:]] if words else []


def ours(line: str) -> str:
    """Run a command of ours, and return what it has printed."""
    done = CliRunner().invoke(app, words_of(line)[1:], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert done.exit_code == 0, (line, done.output)
    return done.output
