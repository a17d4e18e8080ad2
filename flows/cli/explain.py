"""Explain a feature, a component or a window of a result, in the console."""

from __future__ import annotations

import json as json_
from typing import Annotated

import typer

from flows.cli.options import JsonOption, SinkArgument


def explain(
    sink: SinkArgument,
    feature: Annotated[
        str | None,
        typer.Argument(help="A feature, a column, or a component such as pc_3 (with --stride).", show_default=False),
    ] = None,
    stride: Annotated[int | None, typer.Option(help="Stride of the component or window.", show_default=False)] = None,
    window: Annotated[
        int | None, typer.Option(help="Number of a window in its stride and split, from 0.", show_default=False)
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of the window.", show_default=False)] = None,
    entity: Annotated[
        list[str] | None,
        typer.Option(help="Count only the windows of this entity. Once for each column of the entity.", show_default=False),
    ] = None,
    slice_: Annotated[
        str | None, typer.Option("--slice", metavar="NAME", help="A slice that is published there.", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Loadings of a component to show.")] = 10,
    json: JsonOption = False,
) -> None:
    """Explain a feature by its column, formula and fitted numbers, a component by its loadings, a window by its rows.

    SINK may be a folder of a fitted state, too, except for windows.
    """
    from emberharmony.errors import PlanError
    from emberharmony.io.store.address import child_address
    from emberharmony.report.explained import Explanation, explain_named
    from emberharmony.report.explained_window import explain_window
    from flows.cli.console import print_table, print_text

    place = sink if slice_ is None else child_address(sink, f"slice={slice_}")
    if (feature is None) == (window is None):
        raise PlanError("Name a feature or component to explain, or a window with --window and --stride.")
    found: Explanation
    if feature is not None:
        found = explain_named(place, feature, stride=stride, top=top)
    else:
        assert window is not None
        found = explain_window(place, stride=stride, number=window, split=split, entity=entity or ())
    if json:
        print_text(json_.dumps(found.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print_table([*found.lines()])
