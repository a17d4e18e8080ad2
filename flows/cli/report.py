"""The report of a result as a file of its own."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.run_page import find_report, published_page


def save_report(sink: str, *, version: str | None, output: Path, show: bool) -> None:
    """Write the page of a result to a file that only its owner can read, and print where; with `show`, open it.

    Raises
    ------
    DataError
        If nothing is published there.
    MissingLibraryError
        If its run wrote no page, and what draws one is not installed.
    """
    from flows.cli.console import print_text

    snapshot = result_at(sink).snapshot(version)
    content = published_page(snapshot)
    output.touch(mode=0o600)  # before it has the values of categories
    output.write_bytes(content)
    made = "" if find_report(snapshot.manifest) else "; its run wrote none, so samples and times are missing"
    print_text(f"{output}: {len(content):,} bytes{made}")
    if show:
        webbrowser.open(output.absolute().as_uri())
