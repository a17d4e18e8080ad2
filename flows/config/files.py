"""Job files: YAML with limits on its size, and one type of error for everything that can be wrong with a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from emberharmony.errors import PlanError
from emberharmony.io.store.address import is_bucket, parent_address, without_query
from emberharmony.io.store.opening import open_files
from emberharmony.io.store.paths import checked_path
from emberharmony.messages import shortened, shown

MAX_BYTES = 2**20
"""Largest job file, in bytes: enough for jobs that list tens of thousands of columns."""
MAX_DEPTH = 20
"""Largest number of levels; the deepest setting is on the fourth."""
MAX_VALUES = 50_000
"""Largest number of values; an alias counts as many as it stands for."""
EXAMPLES: Final = "configs"
"""The folder of this package's example jobs."""
INSTALLED: Final = Path(__file__).parents[2]
"""Where the package is installed. `configs` is not imported: a folder of that name in the working directory would be found."""

_TEXT = "tag:yaml.org,2002:str"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MERGE = "tag:yaml.org,2002:merge"
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
# Raised by PyYAML's constructors on `2026-13-45`, `!!timestamp x`, `!!int ''` or too many digits.
_CONSTRUCTION_ERRORS = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)


def read_job_file(place: str | Path) -> Any:
    """Return the content of a YAML file on a disk or in a bucket.

    Parameters
    ----------
    place : str or Path
        A path, or an address such as ``s3://lake/jobs/nightly.yaml``. A path ``configs/NAME.yaml`` that does not exist is that
        of the example that is installed with the package.

    Raises
    ------
    PlanError
        If it is no readable file of text in UTF-8, no YAML, or larger than any job; the message names the line.
    TransientError, TerminalError
        If its bucket does not answer, or refuses.
    """
    content = _content_of_object(str(place)) if is_bucket(str(place)) else _content_of_file(_path_of(str(place)))
    shown_place = without_query(str(place))
    if len(content) > MAX_BYTES:
        raise PlanError(
            f"{shown_place} is larger than {MAX_BYTES:,} bytes, so it is no job file. Give the path of a YAML file."
        )
    try:
        return _load(_decoded(content, shown_place))
    except yaml.YAMLError as error:
        raise PlanError(f"{shown_place} is not valid YAML for a job: {_problem(error)}.") from error


def _content_of_object(address: str) -> bytes:
    folder, name = parent_address(address)
    store = open_files(folder)
    if store.size(name) is None:
        raise PlanError(f"The job file {without_query(address)} cannot be read: there is no such object in the bucket.")
    with store.open(name) as file:
        return file.read(MAX_BYTES + 1)


def _path_of(text: str) -> Path:
    path = Path(checked_path(text, key="The job file") if "://" in text or text.startswith("~") else text)
    example = INSTALLED / path
    return example if path.parts[:1] == (EXAMPLES,) and not path.exists() and example.is_file() else path


def _content_of_file(path: Path) -> bytes:
    try:
        if not path.is_file() and (path.exists() or path.is_symlink()):
            kind = "a folder" if path.is_dir() else "no regular file"
            raise PlanError(f"The job file {path} cannot be read: it is {kind}. Give the path of a YAML file.")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PlanError(f"The job file {path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except ValueError as error:  # a NUL character
        raise PlanError(f"The job file {shown(str(path))} cannot be read: {error}.") from error


def parse_value(text: str) -> Any:
    """Return the value of a YAML text.

    Raises
    ------
    PlanError
        If it is no YAML; the message names the problem only.
    """
    try:
        return _load(text)
    except yaml.YAMLError as error:
        raise PlanError(_problem(error)) from error


def _decoded(content: bytes, path: str) -> str:
    encoding = _MARKS.get(content[:2])
    if encoding is None and b"\0" in content:
        raise PlanError(f"{path} is a binary file, not a job in YAML.")
    try:
        if encoding is None:
            return content.decode("utf-8-sig")
        wrong = f"in {encoding}"
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        wrong = f"not in UTF-8: line {line} holds the byte 0x{content[error.start]:02x}"
    raise PlanError(f"{path} is {wrong}. Save it as UTF-8.")


def _load(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error


def _problem(error: yaml.YAMLError) -> str:
    """One line that describes an error."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    words = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + shortened(" ".join(str(words).split()), 300)


class _Loader(yaml.SafeLoader):
    """A safe loader with limits on depth and on aliases, which refuses duplicate keys."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = self._n_composed = 0
        self._n_values: dict[int, int] = {}  # by node that is complete

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node, and count what is in it."""
        mark = self.peek_event().start_mark
        if self._depth == MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_DEPTH} levels", problem_mark=mark)
        self._n_composed += 1  # counted early as well: half a million values take 20 s
        if self._n_composed > MAX_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_VALUES:,} values", problem_mark=mark)
        is_alias = self.check_event(yaml.AliasEvent)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return None
        if is_alias and id(node) not in self._n_values:
            raise yaml.MarkedYAMLError(problem="an alias contains itself", problem_mark=mark)
        self._n_values[id(node)] = n_values = 1 + sum(self._n_values[id(child)] for child in _children(node))
        if n_values > MAX_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_VALUES:,} values, aliases written out", problem_mark=mark)
        if isinstance(node, yaml.MappingNode) and not is_alias:
            _check_keys(node)
        return node

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        """Return the tag of a value. YAML 1.1 reads 1:30 as 90, and +10:00 as 600; here both are texts."""
        tag = super().resolve(kind, value, implicit)
        return _TEXT if tag in _NUMBERS and isinstance(value, str) and ":" in value else tag

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct a value; errors of the constructors are translated and get their line."""
        try:
            return super().construct_object(node, deep=deep)
        except _CONSTRUCTION_ERRORS as error:
            kind = node.tag.rsplit(":", 1)[-1]
            problem = f"{shown(node.value) if isinstance(node.value, str) else 'this'} is no {kind}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error


# YAML 1.1 reads 1e-3 as a string, because it lacks the point and the sign; a number is meant.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_keys(node: yaml.MappingNode) -> None:
    """Refuse duplicate keys, of which YAML would silently use the last, and keys that are not strings."""
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a list or section is no name of a key", problem_mark=key.start_mark)
        if key.tag not in (_TEXT, _MERGE):
            problem = f"keys should be strings, and YAML reads {shortened(key.value)} otherwise; quote it if it is a name"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        if key.value in seen:
            raise yaml.MarkedYAMLError(problem=f"key {shown(key.value)} is given twice", problem_mark=key.start_mark)
        seen.add(key.value)
