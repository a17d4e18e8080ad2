"""The console script: run a job, look at its settings and the backends, see the demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(
    name="emberharmony",
    help="Turn tables of any size into model-ready features, temporal windows and the fitted state that repeats them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigArgument = Annotated[
    Path,
    typer.Argument(
        help="The job: a YAML file, such as configs/flights.yaml. `emberharmony settings` prints all that it may say.",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: --set windows.size=8. May be repeated."),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is published there, and start anew.")]
VerifyOption = Annotated[
    bool,
    typer.Option("--verify", help="Compare the checksums of a result that is published already."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only the summary.")]


@app.command()
def run(
    config: ConfigArgument,
    set_: SetOption = None,
    overwrite: OverwriteOption = False,
    verify: VerifyOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a job: plan, profile, fit, featurize, fit PCA, project, publish.

    A run that was interrupted goes on where it stopped; one that is published already does nothing.
    """
    from flows.cli.console import run_and_show
    from flows.config.job import load_job

    run_and_show(load_job(config, set_ or ()), overwrite=overwrite, verify=verify, quiet=quiet)


@app.command()
def plan(config: ConfigArgument, set_: SetOption = None) -> None:
    """Show what a job would do: the role of every column, order, chunks, memory. Writes nothing."""
    from flows.cli.console import show_plan
    from flows.config.job import load_any

    show_plan(load_any(config, set_ or ()))


@app.command()
def fit(
    config: ConfigArgument,
    set_: SetOption = None,
    overwrite: OverwriteOption = False,
    verify: VerifyOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a job's features and PCAs, and publish only what was fitted, for `apply`."""
    from flows.cli.console import run_and_show
    from flows.config.job import FitJob, load_job

    run_and_show(load_job(config, set_ or (), FitJob), overwrite=overwrite, verify=verify, quiet=quiet)


@app.command()
def apply(
    config: Annotated[
        Path,
        typer.Argument(help="State, source and sink: a YAML file, such as configs/flights-apply.yaml.", show_default=False),
    ],
    set_: SetOption = None,
    overwrite: OverwriteOption = False,
    verify: VerifyOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make the same features, windows and scores of other rows, by what `run` or `fit` has fitted, and measure drift."""
    from flows.cli.console import run_and_show
    from flows.config.job import ApplyJob, load_job

    run_and_show(load_job(config, set_ or (), ApplyJob), overwrite=overwrite, verify=verify, quiet=quiet)


@app.command()
def demo(
    set_: SetOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    data: Annotated[Path, typer.Option(help="Folder of the demo's table and its result.")] = Path("data"),
) -> None:
    """Run the main job on the 336,776 flights that left New York in 2013."""
    from flows.cli.console import run_and_show
    from flows.cli.flights import demo_config, prepare_flights
    from flows.config.job import load_job

    table = prepare_flights(data / "flights.parquet")
    places = [f"source.path={table}", f"sink.path={data / 'flights-features'}"]
    run_and_show(load_job(demo_config(), [*places, *(set_ or ())]), overwrite=overwrite, quiet=quiet)


@app.command()
def window_rows(
    result: Annotated[Path, typer.Argument(help="Folder of a published result.", show_default=False)],
    first_row: Annotated[int | None, typer.Option(help="`first_row` of the window.", show_default=False)] = None,
    stride: Annotated[int | None, typer.Option(help="Stride of the window.", show_default=False)] = None,
    split: Annotated[str | None, typer.Option(help="Split of the window.", show_default=False)] = None,
    window: Annotated[int | None, typer.Option(help="Its number in that split, from 0.", show_default=False)] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print one line per row, as CSV.")] = False,
) -> None:
    """Show the rows that a window holds, in its order: by --first-row, or by --stride, --split and --window.

    They are rows of one split in time order, so in a table of another order their numbers do not follow one another.
    """
    from flows.cli.windows import find_window, show_window

    show_window(find_window(result, first_row=first_row, stride=stride, split=split, number=window), as_csv=csv)


@app.command()
def settings(
    section: Annotated[
        str | None, typer.Argument(help="Only this section, such as windows or source.connection.", show_default=False)
    ] = None,
) -> None:
    """Print every setting of a job: its values, default and meaning."""
    from flows.cli.console import show_settings

    show_settings(section)


@app.command()
def backends() -> None:
    """Show which backends are installed, which one is chosen and why, and its device."""
    from flows.cli.console import show_backends

    show_backends()


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    """Turn tables of any size into model-ready features, temporal windows and the fitted state that repeats them."""
    if show:
        from emberharmony import __version__

        typer.echo(f"emberharmony {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the console script; errors made for the user are shown without a traceback."""
    from emberharmony.errors import EmberharmonyError
    from flows.cli.startup import import_pyarrow_alone
    from flows.cli.streams import OutputError, output_errors, prepare_streams

    prepare_streams()
    if "demo" not in sys.argv[1:2]:  # its table is made with pandas
        import_pyarrow_alone()
    try:
        app()
    except EmberharmonyError as error:
        _end(error)
    except OSError as error:
        if error.filename is not None:
            from emberharmony.io.store.errors import translate

            _end(translate(error))
        try:
            with output_errors():  # what could not be printed cannot be printed now
                typer.echo()
        except OutputError as lost:
            _end(lost)
        raise  # it is not about a file, and may be ours


def _end(error: Exception) -> NoReturn:
    from flows.cli.console import show_error

    show_error(error)
    raise SystemExit(1) from None
