"""Where NumPy behind the namespace falls short of test_edges.py; the list may only shrink."""

GAPS: dict[str, str] = {}
