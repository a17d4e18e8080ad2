"""The report of a result becomes a file, and opens in the browser."""

from __future__ import annotations

import stat
import webbrowser

import pytest

from emberharmony.errors import DataError
from flows.cli.report import save_report
from tests.stored import publish_by_hand

PAGE = b"<!doctype html>"


def test_the_page_is_copied_for_its_owner_alone_and_opened(tmp_path, monkeypatch, capsys):
    publish_by_hand(tmp_path / "out", "a", contents={"report/report.html": PAGE, "state/part": b"s"})
    shown = []
    monkeypatch.setattr(webbrowser, "open", shown.append)
    output = tmp_path / "page.html"
    save_report(str(tmp_path / "out"), version=None, output=output, show=True)
    assert output.read_bytes() == PAGE
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert shown == [output.as_uri()]
    assert "15 bytes" in capsys.readouterr().out


def test_where_nothing_is_published_nothing_is_written(tmp_path):
    with pytest.raises(DataError, match="Nothing is published"):
        save_report(str(tmp_path / "out"), version=None, output=tmp_path / "page.html", show=False)
    assert not (tmp_path / "page.html").exists()
