"""What the site has besides the pages of docs/: files of the repository that are pages, too, and lists made of the code.

MkDocs calls `on_files` and `on_page_markdown`. A link to a file of the repository becomes one to the page that shows it, so
that the same pages can be read in the repository; a link to any other file fails a strict build.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_log = logging.getLogger("mkdocs.plugins.emberharmony")

ROOT = Path(__file__).parent.parent
PAGES = {"deploy/README.md": "deployments.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files outside docs/ that are pages of the site."""
SHOWN = {"configs": "job-files.md", "examples": "examples.md"}
"""Folders whose files are sections of a page."""

LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)(?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")
FENCE = re.compile(r"^(```+).*?^\1$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=with_wide_lists(with_site_links(text, name))))
    files.append(File.generated(config, SHOWN["configs"], content=job_files()))
    files.append(File.generated(config, SHOWN["examples"], content=examples()))
    files.append(File.generated(config, "commands.md", content=commands()))
    files.append(File.generated(config, "ops.md", content=array_functions()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point the links of a page that lead out of docs/ to pages of the site, and list no pages beside one alone in its tab."""
    if page.parent is None:
        page.meta["hide"] = ["navigation", "toc"] if page.is_homepage else ["navigation"]
    return markdown if page.file.generated_by else with_site_links(markdown, f"docs/{page.file.src_uri}")


def on_page_content(html: str, **_: Any) -> str:
    """End sentences before an example with one colon: docstrings have two there, as reStructuredText needs them."""
    return html.replace("::</p>", ":</p>")


def with_site_links(text: str, name: str) -> str:
    """Return the text of a file of the repository with links to files of the repository as links of the site."""
    folder = PurePosixPath(name).parent
    pieces, begin = [], 0
    for fence in FENCE.finditer(text):  # code is left as it is
        pieces += [_linked(text[begin : fence.start()], folder), fence[0]]
        begin = fence.end()
    return "".join([*pieces, _linked(text[begin:], folder)])


def with_wide_lists(text: str) -> str:
    r"""Return the text with what belongs to items of numbered lists indented by four spaces, as MkDocs needs it.

    Examples
    --------
    >>> print(with_wide_lists("1. One.\n\n   More of it.\n\n2. Two."))
    1. One.
    <BLANKLINE>
        More of it.
    <BLANKLINE>
    2. Two.
    """
    lines, indent = [], 0
    for line in text.splitlines():
        marker = re.match(r"\d+\. ", line)
        if marker or (line and not line.startswith(" ")):
            indent = len(marker[0]) if marker else 0
        inside = indent and line.startswith(" " * indent)
        lines.append(" " * (4 - indent) + line if inside else line)
    return "\n".join(lines)


def site_link(path: str) -> str | None:
    """Return the link to a file of the repository from any page of the site, all of which are in one folder.

    Examples
    --------
    >>> site_link("docs/gates.md"), site_link("deploy/README.md"), site_link("configs/flights.yaml"), site_link("Makefile")
    ('gates.md', 'deployments.md', 'job-files.md#flights', None)
    """
    folder, _, name = path.partition("/")
    if folder == "docs":
        return name
    if path in PAGES:
        return PAGES[path]
    return f"{SHOWN[folder]}#{PurePosixPath(name).stem}" if folder in SHOWN and name else None


def _linked(text: str, folder: PurePosixPath) -> str:
    def site(match: re.Match[str]) -> str:
        path = _normal(folder / match["path"])
        link = site_link(path)
        if link is None:
            _log.warning("A link leads to %s, which is no page of the site.", path)
            return match[0]
        return link + (match["anchor"] or "")

    return LINK.sub(site, text)


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


def job_files() -> str:
    """Return the page of the example jobs."""
    shown = [
        f"## `configs/{path.name}` {{ #{path.stem} }}\n\n```yaml\n{path.read_text(encoding='utf-8').strip()}\n```\n"
        for path in sorted((ROOT / "configs").glob("*.yaml"))
    ]
    intro = "# Example jobs\n\nThe files of `configs/`. The tests run them; [Job file](job.md) explains every key.\n\n"
    return intro + "\n".join(shown)


def examples() -> str:
    """Return the page of the example programs."""
    shown = [
        f"## `examples/{path.name}` {{ #{path.stem} }}\n\n```python\n{path.read_text(encoding='utf-8').strip()}\n```\n"
        for path in sorted((ROOT / "examples").glob("*.py"))
    ]
    return "# Example programs\n\nThe files of `examples/`, which the tests run.\n\n" + "\n".join(shown)


def commands() -> str:
    """Return the page of the commands, with the arguments and options of each."""
    from typer.main import get_command

    from flows.cli.app import app

    group = get_command(app)
    intro = (
        "# Commands and options\n\nWhat `emberharmony COMMAND --help` shows. [Command line](cli.md) says what the commands "
        "are for, and lists the exit statuses.\n\n"
    )
    return intro + "\n".join(_command(name, command) for name, command in group.commands.items())


def _command(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(["emberharmony", name, *command.collect_usage_pieces(context)])
    rows = []
    for parameter in command.params:
        names, text = parameter.get_help_record(context) or (parameter.make_metavar(context), parameter.help or "")
        rows.append(f"| `{names}` | {' '.join(text.split()).replace('|', chr(92) + '|')} |")
    table = "| argument or option | meaning |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else ""
    return f"## {name}\n\n{inspect.cleandoc(command.help or '')}\n\n```text\n{usage}\n```\n\n{table}"


def array_functions() -> str:
    """Return the page of the array namespace: its functions by group, each with the first sentence on it."""
    from emberharmony import ops

    groups: dict[str, list[str]] = {}
    for name, function in _functions(ops):
        groups.setdefault(function.__module__.rpartition(".")[2].lstrip("_"), []).append(_row(name, function))
    for module in (ops.linalg, ops.fft, ops.random):
        prefix = module.__name__.rpartition(".")[2]
        groups.setdefault(prefix, []).extend(_row(f"{prefix}.{name}", function) for name, function in _functions(module))
    tables = [
        f"## {group.replace('_', ' ').capitalize()}\n\n| function | returns |\n|---|---|\n" + "\n".join(rows) + "\n"
        for group, rows in groups.items()
    ]
    intro = (
        "# Array functions\n\n`emberharmony.ops` is the "
        "[Python array API standard](https://data-apis.org/array-api/latest/), version "
        f"{ops.__array_api_version__}, on NumPy, torch and MLX. Functions follow the backend of their arguments; the default "
        "backend, see [Python](api.md#backends), only creates new tensors. Mixing arrays of two backends in one call is a "
        "TypeError.\n\n"
    )
    return intro + "\n".join(tables)


def _functions(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isfunction(value) and not name.startswith("_"):
            yield name, value


def _row(name: str, function: Any) -> str:
    return f"| `{name}` | {inspect.getdoc(function).splitlines()[0]} |"
