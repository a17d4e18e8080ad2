"""The blocks of code of all pages: commands and Python run on some of the flights, job files are what a job may be.

What a command prints is compared with the block that follows it, but for the numbers, because those of the pages are of all
flights. The commands of docs/nightly.md run on all of them, in tests/examples/test_nightly.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from flows.cli.app import app
from flows.config.job import ApplyJob, Job, parse_job
from tests.documents import PAGES, ROOT, Block, blocks_of, fences, ours, words_of

pytestmark = pytest.mark.xdist_group("readme")  # a command may need what another has made

LANGUAGES = {"sh", "python", "yaml", "text", "json"}
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
OTHERS = {"prefect", "pip", "docker", "kubectl", "gcloud", "export", "set", "."}
"""Commands that are not ours, which no test runs."""
SCHEMA = "# yaml-language-server: $schema="
NUMBER = re.compile(r"\b[0-9a-f]{16}\b|-?\d[\d,.:%-]*")
BLOCKS = {page: blocks_of(page) for page in PAGES}


def every(*languages: str) -> list[Any]:
    found = [block for blocks in BLOCKS.values() for block in blocks if block.language in languages]
    return [pytest.param(block, id=str(block)) for block in found]


def check_exists(line: str) -> None:
    """Check that a command is one, without running it."""
    name, *arguments = words_of(line)
    if name == "emberharmony":
        check_parsed(arguments)
    elif name == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), line
    elif name in ("python", "time") and arguments[0] == "-m":
        assert (ROOT / arguments[1].replace(".", "/")).with_suffix(".py").exists(), line
    elif name in ("python", "pytest"):
        assert (ROOT / arguments[0]).exists(), line
    else:
        assert name in OTHERS, line


def check_parsed(arguments: list[str]) -> None:
    """Check a command of ours and its options."""
    command = COMMANDS[arguments[0]]
    context = command.make_context(arguments[0], [], resilient_parsing=True)
    command.make_parser(context).parse_args(arguments[1:])


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page):
    assert fences(page) == 2 * len(BLOCKS[page])
    assert {block.language for block in BLOCKS[page]} <= LANGUAGES
    titled = [block for block in BLOCKS[page] if block.title and not block.needs and block.language in ("sh", "python")]
    assert titled == []


def followed(page: str) -> Iterator[tuple[Block, str]]:
    """Yield the blocks of a page that run, each with the output that is shown below it."""
    for block, after in zip_longest(BLOCKS[page], BLOCKS[page][1:]):
        shown = after.text if after and after.language == "text" and _adjacent(block, after) else ""
        if block.language in ("sh", "python") and not block.needs:
            yield block, shown


def _adjacent(block: Block, after: Block) -> bool:
    return after.line == block.line + block.text.count("\n") + 3


def shape(line: str) -> str:
    """Return a regular expression for lines that differ in numbers, fingerprints and spaces alone."""
    parts = NUMBER.split(line.strip())
    return r"[-\w,.:%]+".join(re.sub(r"(?:\\ )+", r"\\s+", re.escape(part)) for part in parts)


RUN = [page for page in PAGES if page not in ("docs/nightly.md",) and any(followed(page))]


@pytest.mark.parametrize("page", RUN)
def test_what_a_page_runs(page, newcomer, monkeypatch, capsys):
    monkeypatch.chdir(newcomer)
    Path("job.yaml").unlink(missing_ok=True)  # of another page
    for block, shown in followed(page):
        printed = ""
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})
            printed = capsys.readouterr().out
        for line in block.lines if block.language == "sh" else ():
            if words_of(line)[0] == "emberharmony" and words_of(line)[1] != "demo":
                printed += ours(line)
            else:
                check_exists(line)
        for line in filter(None, map(str.strip, shown.splitlines() if printed else ())):
            assert line == "..." or re.search(shape(line), printed), (str(block), line, printed)


@pytest.mark.parametrize(
    ("line", "printed", "same"),
    [
        ("rows      336,776 read; 80.2%", "rows  11,226 read; 9%", True),
        ("latest  2013-11  16f3ad4a0ba3dac4", "latest  2013-11  ffffad4a0ba3dac4", True),
        ("336 rows of train", "12 rows of test", False),
        ("from year: constant", "from month: constant", False),
    ],
)
def test_what_is_compared_of_a_line(line, printed, same):
    assert bool(re.search(shape(line), printed)) is same


@pytest.mark.parametrize("block", [block for block in every("sh", "python") if block.values[0].needs])
def test_what_needs_more_than_the_tests_have(block):
    if block.language == "python":
        compile(block.text, str(block), "exec")
    for line in block.lines if block.language == "sh" else ():
        for command in filter(str.strip, line.split(";")):
            check_exists(command.strip())


@pytest.mark.parametrize("block", every("yaml"))
def test_a_job_or_a_part_of_one(block):
    data = yaml.safe_load(block.text)
    whole = {"source", "sink"} <= set(data)
    assert block.text.startswith(SCHEMA) == whole, "whole jobs begin with the line that names their schema"
    if whole:
        assert (ROOT / block.text.splitlines()[0].removeprefix(SCHEMA)).exists()
    model = ApplyJob if "state" in data else Job
    parse_job({"source": {"path": "table.parquet"}, "sink": {"path": "result"}} | data, model=model)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_exist(page):
    text = re.sub(r"^ *```.*?^ *```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`(?:python -m )?emberharmony ([a-z][a-z-]*)", text))
    assert named <= COMMANDS.keys()


def test_the_page_of_the_command_line_names_every_command():
    table = (ROOT / "docs/cli.md").read_text(encoding="utf-8").split("| does |")[1].split("\n\n")[0]
    named = [name for row in table.splitlines() for name in re.findall(r"`([a-z-]+)`", row.split(" | ")[0])]
    assert sorted(named) == sorted(COMMANDS)
