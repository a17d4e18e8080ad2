"""Settings that Prefect cannot use: the message names the variable or the file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from emberharmony.errors import TerminalError
from flows.prefect.settings import changed_settings, load_prefect, may_name_server, settings_files


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """Prefect's folder; the current one is another, and both are empty."""
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)  # runs of other tests leave some in this process, which would come before a file's
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def refusal() -> str:
    with pytest.raises(TerminalError) as told:
        load_prefect()
    return str(told.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PREFECT_LOGGING_LEVEL", "foo", "PREFECT_LOGGING_LEVEL = 'foo': input should be 'DEBUG'"),
        ("PREFECT_LOGGING_LEVEL", "", "PREFECT_LOGGING_LEVEL = '': input should be 'DEBUG'"),
        ("PREFECT_API_REQUEST_TIMEOUT", "abc", "PREFECT_API_REQUEST_TIMEOUT = 'abc': input should be a valid number"),
        ("PREFECT_CLIENT_MAX_RETRIES", "many", "PREFECT_CLIENT_MAX_RETRIES = 'many': input should be a valid integer"),
        ("PREFECT_LOGGING_SERVER_LEVEL", "foo", "PREFECT_LOGGING_SERVER_LEVEL = 'foo'"),  # an alias
        ("PREFECT_CLIENT_CUSTOM_HEADERS", '{"X-Key": secret', "PREFECT_CLIENT_CUSTOM_HEADERS: a value of several parts"),
        ("PREFECT_PROFILE", "nope", "PREFECT_PROFILE names Prefect's profile 'nope', which does not exist"),
    ],
)
def test_a_variable_that_prefect_does_not_accept(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    told = refusal()
    assert message in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'active = "x', "cannot be read: Unterminated string"),
        (b"\xff\xfe", "cannot be read: 'utf-8' codec can't decode"),
        (b"profiles = 3", "a profile is a table"),
        (b"[profiles]\na = 3", "a profile is a table"),
        (b'active = "nope"', "names Prefect's profile 'nope', which does not exist. Name one of these: ephemeral,"),
        (b'active = "a"\n[profiles.a]\nPREFECT_LOGGING_LEVEL = "foo"', "PREFECT_LOGGING_LEVEL = 'FOO' (set in"),
    ],
)
def test_a_file_of_profiles_that_prefect_cannot_use(home, text, message):
    (home / "profiles.toml").write_bytes(text)
    told = refusal()
    assert message in told
    assert str(home / "profiles.toml") in told


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("prefect.toml", b'a = "x', "cannot be read: Unterminated string"),
        ("prefect.toml", b'[logging]\nlevel = "foo"', "PREFECT_LOGGING_LEVEL = 'FOO' (set in"),
        ("prefect.toml", b"logging = 3", "Prefect cannot read its settings, the variables PREFECT_* and"),
        ("pyproject.toml", b"[tool\n", "cannot be read: Expected ']'"),
        ("pyproject.toml", b"[tool.prefect.api]\nrequest_timeout = 'abc'", "PREFECT_API_REQUEST_TIMEOUT = 'abc' (set in"),
        (".env", b"PREFECT_LOGGING_LEVEL=foo\n", "PREFECT_LOGGING_LEVEL = 'FOO' (set in"),
        (".env", b"\xff\xff", "cannot be read: 'utf-8' codec can't decode"),
    ],
)
def test_a_file_of_settings_that_prefect_cannot_use(name, text, message):
    Path(name).write_bytes(text)
    told = refusal()
    assert message in told
    assert str(Path(name).absolute()) in told


def test_settings_that_are_right(home):
    (home / "profiles.toml").write_text('active = "mine"\n[profiles.mine]\nPREFECT_LOGGING_LEVEL = "WARNING"\n')
    Path("pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert settings_files() == [home / "profiles.toml", Path("pyproject.toml")]
    load_prefect()


def test_settings_are_read_again_when_they_have_changed(home, monkeypatch):
    def write_profile(level: str) -> None:
        (home / "profiles.toml").write_text(f'active = "mine"\n[profiles.mine]\nPREFECT_LOGGING_LEVEL = "{level}"\n')

    changes = [
        lambda: write_profile("WARNING"),
        lambda: write_profile("ERROR"),
        lambda: monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "INFO"),
        lambda: monkeypatch.setenv("prefect_client_max_retries", "3"),
        lambda: Path("prefect.toml").write_text("[logging]\nlevel = 'INFO'\n"),
        lambda: Path("prefect.toml").unlink(),
        lambda: monkeypatch.setenv("PREFECT_HOME", str(home.parent / "elsewhere")),
    ]
    load_prefect()
    from prefect.settings import Settings

    read = []

    class Counted(Settings):  # and still all that Prefect's own threads look for there
        def __init__(self):
            super().__init__()
            read.append(self)

    monkeypatch.setattr("prefect.settings.Settings", Counted)
    for n, change in enumerate(changes, 1):
        change()
        load_prefect()
        load_prefect()
        assert len(read) == n
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "foo")
    assert [refusal(), refusal()] == [refusal()] * 2
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "INFO")
    load_prefect()


def test_only_a_file_that_speaks_of_prefect_is_a_reason_to_import_it(home):
    Path("pyproject.toml").write_text("[project]\ndependencies = ['prefect']\n")
    Path(".env").write_text("TOKEN=x\n")
    assert not may_name_server()
    Path("pyproject.toml").write_text("[tool.prefect.api]\nurl = 'http://h:4200/api'\n")
    assert may_name_server()


def test_prefect_itself_is_not_heard(home):
    """While it is imported for the first time it prints what is wrong with its settings, and fails."""
    code = "from emberharmony.errors import TerminalError\nfrom flows.prefect.settings import load_prefect\n"
    code += "try: load_prefect()\nexcept TerminalError as error: print(error)"
    environment = os.environ | {"PREFECT_LOGGING_LEVEL": "foo", "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Prefect does not accept PREFECT_LOGGING_LEVEL = 'foo'")
    assert not done.stderr


def test_settings_are_changed_for_a_block_as_prefect_changes_them():
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings

    before = get_current_settings()
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 7}) as expected, changed_settings("client", max_retries=0):
        assert PREFECT_CLIENT_MAX_RETRIES.value() == 0
        with changed_settings("client", max_retries=7):
            assert get_current_settings() == expected
            assert get_current_settings().hash_key() == expected.hash_key()  # Prefect keeps clients by it
        assert PREFECT_CLIENT_MAX_RETRIES.value() == 0
        assert expected.client.max_retries == 7
    assert get_current_settings() == before
