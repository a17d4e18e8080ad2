"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

ConfigArgument = Annotated[
    str,
    typer.Argument(
        help="The job: the path or address of a YAML file, such as configs/flights.yaml. `emberharmony settings` lists every "
        "setting.",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: --set windows.size=8. May be repeated."),
]
SinkArgument = Annotated[str, typer.Argument(help="The `sink.path` of a job.", show_default=False)]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Start again, and replace the published result at the end.")
]
VerifyOption = Annotated[
    bool,
    typer.Option("--verify", help="If the result is already published, compare its files with their checksums."),
]
SliceOption = Annotated[
    str | None,
    typer.Option(
        "--slice",
        metavar="NAME",
        help="Run one slice, such as 2026-11-28, or those of a range that are not published: 2026-11-01..2026-11-28.",
        show_default=False,
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Run every slice from this one to the present one that is not published, or whose rows have changed.",
        show_default=False,
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only the summary.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PlannedSliceOption = Annotated[
    str | None, typer.Option("--slice", metavar="NAME", help="The slice to plan.", show_default=False)
]
SampleOption = Annotated[
    str | None,
    typer.Option(
        "--sample",
        metavar="SHARE",
        help="Read so many rows, such as 1% or 20000, for estimates of time and size and for warnings about values.",
        show_default=False,
    ),
]
