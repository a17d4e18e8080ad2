"""Folders of states, and comparisons of results, in the console."""

from __future__ import annotations

from emberharmony.io.store.opening import result_at
from emberharmony.pipeline.state_registry import read_registry, resolve_state
from emberharmony.report.registry_report import registry_json, registry_rows
from emberharmony.report.result_comparison import compare_results


def show_states(folder: str, *, as_json: bool) -> None:
    """Print the states of a folder, newest first, for people or as JSON.

    Raises
    ------
    DataError
        If it holds no published state.
    """
    from flows.cli.console import print_aligned, print_json

    registry = read_registry(folder)
    if not registry.states:
        raise registry.missing()
    if as_json:
        print_json(registry_json(registry))
        return
    print_aligned(list(registry_rows(registry)))


def show_comparison(a: str, b: str, *, as_json: bool) -> None:
    """Print how the result at one place differs from that at another; both may be states of a folder, such as its latest."""
    from flows.cli.console import print_aligned, print_json

    comparison = compare_results(*(result_at(resolve_state(place)).snapshot() for place in (a, b)))
    if as_json:
        print_json(comparison.to_json())
        return
    print_aligned(list(comparison.lines()))
