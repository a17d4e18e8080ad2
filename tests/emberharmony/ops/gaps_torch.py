"""Where torch behind the namespace falls short of test_edges.py; the list may only shrink."""

GAPS = {
    "test_write_backwards_beside_index_arrays": "torch has no negative steps, and what stands in for them cannot do this",
}
