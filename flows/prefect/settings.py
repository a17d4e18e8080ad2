"""Prefect's settings, which it reads when it is imported, and clear errors for wrong ones."""

from __future__ import annotations

import io
import os
import re
import sys
import tomllib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emberharmony.errors import TerminalError
from flows.prefect.private import setting_variables

if TYPE_CHECKING:
    from prefect.context import SettingsContext

BUILT_IN_PROFILES = ("ephemeral", "local", "cloud", "test")
_SECRET = re.compile("KEY|AUTH|SECRET|PASSWORD|URL|HEADERS")
"""Parts of the names of variables whose values are not shown."""


def prefect_home() -> Path:
    """The folder of Prefect's database and profiles."""
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()


def settings_files() -> list[Path]:
    """The files from which Prefect takes settings here."""
    files = [_profiles_path(), Path("prefect.toml"), Path(".env"), Path("pyproject.toml")]
    return [path for path in files if os.path.lexists(path)]


def may_name_server() -> bool:
    """Whether one of the files could name a server. Most pyproject.toml and .env files do not mention Prefect."""
    marks = {"pyproject.toml": b"tool.prefect", ".env": b"PREFECT"}
    for path in settings_files():
        with suppress(OSError):  # Prefect, when it is imported, will say so
            if marks.get(path.name, b"") in path.read_bytes():
                return True
    return False


def _profiles_path() -> Path:
    return Path(os.environ.get("PREFECT_PROFILES_PATH") or prefect_home() / "profiles.toml")


def load_prefect() -> None:
    """Import Prefect, and check the settings with which it runs: once, until a variable or a file changes.

    Raises
    ------
    TerminalError
        If a file or a variable is wrong; the message names it.
    """
    variables = tuple(sorted(item for item in os.environ.items() if item[0].upper().startswith("PREFECT_")))
    _load(prefect_home(), variables, tuple((path.absolute(), _bytes(path)) for path in settings_files()))


def _bytes(path: Path) -> bytes | None:
    with suppress(OSError):
        return path.read_bytes()
    return None


# A plan asks for its engine again and again, and each time Prefect would take 70 ms to read its settings.
@lru_cache(maxsize=1)
def _load(home: Path, variables: tuple[tuple[str, str], ...], files: tuple[tuple[Path, bytes | None], ...]) -> None:
    """Import Prefect, and check these settings. What is wrong with them is told at each call."""
    _check_files()
    try:
        _import()
    except ImportError:
        raise
    except Exception as error:
        raise TerminalError(f"{_said(error)} Correct it, or go on without Prefect: --set runtime.engine=local.") from error


def changed_settings(section: str, **values: Any) -> SettingsContext:
    """Return the current settings with other values in one section, to be entered for a block.

    `prefect.settings.temporary_settings` reads the environment and all files some thirty times, which takes 0.1 s. Only an
    address of the API needs that: Prefect derives others from it.
    """
    from prefect.context import SettingsContext, get_settings_context

    current = get_settings_context()
    changed = getattr(current.settings, section).model_copy(update=values)
    return SettingsContext(profile=current.profile, settings=current.settings.model_copy(update={section: changed}))


def _import() -> None:
    with _told_if_successful(), warnings.catch_warnings():
        # Nothing that a run needs is kept there.
        warnings.filterwarnings("ignore", "Failed to create the Prefect home directory", UserWarning)
        import prefect.settings

        prefect.settings.Settings()


@contextmanager
def _told_if_successful() -> Iterator[None]:
    """Print what Prefect says about its settings while it is imported, unless an error follows that says it better."""
    said = io.StringIO()
    with redirect_stderr(said):
        yield
    if said.getvalue() and sys.stderr:
        sys.stderr.write(said.getvalue())


def _check_files() -> None:
    """Refuse an unreadable file, and a profile that does not exist, for which Prefect would use another one."""
    profiles: Mapping[str, Any] = {}
    active = None
    for path in settings_files():
        settings = _read(path)
        if path == _profiles_path():
            profiles, active = settings.get("profiles", {}), settings.get("active")
            if not isinstance(profiles, dict) or not all(isinstance(profile, dict) for profile in profiles.values()):
                raise TerminalError(
                    f"Prefect's settings in {path.absolute()} cannot be read: a profile is a table, [profiles.NAME], that "
                    f"sets variables. Correct the file."
                )
    name = os.environ.get("PREFECT_PROFILE") or active
    if name is not None and name not in profiles and name not in BUILT_IN_PROFILES:
        by = "PREFECT_PROFILE" if os.environ.get("PREFECT_PROFILE") else f"`active` in {_profiles_path().absolute()}"
        known = ", ".join(dict.fromkeys([*profiles, *BUILT_IN_PROFILES]))
        raise TerminalError(f"{by} names Prefect's profile {name!r}, which does not exist. Name one of these: {known}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text) if path.suffix == ".toml" else {}
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise TerminalError(f"Prefect's settings in {path.absolute()} cannot be read: {reason}. Correct the file.") from error


def _said(error: Exception) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        if first["loc"]:
            return _refused(setting_variables(error.title, str(first["loc"][0])), first["msg"], first["input"])
        error = ValueError(first["msg"])
    field = re.match(r'error parsing value for field "(\w+)"', str(error))
    if field:
        set_ = [name for name in os.environ if name.startswith("PREFECT_") and name.endswith(field[1].upper())]
        if set_:
            return _refused(set_, "a value of several parts is written as JSON", os.environ[set_[0]])
    files = ", ".join(str(path.absolute()) for path in settings_files())
    return f"Prefect cannot read its settings, the variables PREFECT_*{files and f' and {files}'}: {error}."


def _refused(names: list[str], reason: str, value: Any) -> str:
    """Describe a setting that Prefect refuses: the name under which it was set, and where."""
    name = next((name for name in names if name in os.environ), names[0])
    value = os.environ.get(name, value)  # as it was written
    shown = f" = {value!r}" if isinstance(value, str | int | float) and not _SECRET.search(name) else ""
    place = "" if name in os.environ else _place(names)
    return f"Prefect does not accept {name}{shown}{place}: {reason[:1].lower()}{reason[1:]}."


def _place(names: Iterable[str]) -> str:
    for path in settings_files():
        text = path.read_text(encoding="utf-8").upper()
        # In its own files a setting is named by its section and the rest.
        if any(name in text or name.rpartition("_")[2] in text for name in names):
            return f" (set in {path.absolute()})"
    return ""
