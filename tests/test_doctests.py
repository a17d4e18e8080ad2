"""Pytest searches a file for doctests if it has any, and for tests as before.

The files are in no folder of a `conftest.py`, as those of the library are not.
"""

import pytest


@pytest.mark.parametrize(
    ("lines", "name", "wanted"),
    [
        ('"""\n>>> 1 + 1\n2\n"""\n', "module.py", ["DoctestModule"]),
        ('"""\n>>> 1 + 1\n2\n"""\n', "test_module.py", ["DoctestModule", "Module"]),
        ('def function():\n    """\n        >>> 1 + 1\n        2\n    """\n', "module.py", ["DoctestModule"]),
        ("1 >> 1\n", "module.py", []),
        ("1 >> 1\n", "test_module.py", ["Module"]),
        (">>> 1 + 1\n2\n", "test_page.txt", ["DoctestTextfile"]),
    ],
)
def test_files_that_may_have_doctests_are_searched(request, tmp_path, lines, name, wanted):
    path = tmp_path / name
    path.write_text(lines)
    found = request.session.gethookproxy(path).pytest_collect_file(file_path=path, parent=request.session)
    assert sorted(type(collector).__name__ for collector in found) == wanted
