"""The console script: run a job, look at its settings and the backends, see the demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from flows.cli.explain import explain
from flows.cli.look import report, status, window_rows
from flows.cli.options import (
    ConfigArgument,
    JsonOption,
    OverwriteOption,
    PlannedSliceOption,
    QuietOption,
    SampleOption,
    SetOption,
    SinceOption,
    SinkArgument,
    SliceOption,
    VerifyOption,
)

app = typer.Typer(
    name="emberharmony",
    help="Turn tables of any size into model-ready features, temporal windows and the fitted state that repeats them.",
    epilog="Exit statuses: 0 done or nothing to do, 1 error, 2 wrong usage, 130 or 143 stopped.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def run(
    config: ConfigArgument,
    set_: SetOption = None,
    slice_: SliceOption = None,
    since: SinceOption = None,
    overwrite: OverwriteOption = False,
    verify: VerifyOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a job: make features, splits, windows and the fitted state, and publish them.

    An interrupted run resumes where it stopped. If the result is already published, nothing is done.
    """
    from flows.cli.slices import run_slices
    from flows.config.job import load_job

    run_slices(load_job(config, set_ or ()), slice_, since, overwrite=overwrite, verify=verify, quiet=quiet)


@app.command()
def plan(
    config: ConfigArgument,
    set_: SetOption = None,
    slice_: PlannedSliceOption = None,
    sample: SampleOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a job would do, from metadata alone: columns, windows, chunks, memory, warnings. Nothing is written."""
    from flows.cli.plan import show_plan
    from flows.config.job import load_any

    job = load_any(config, set_ or ())
    show_plan(job if slice_ is None else job.with_slice(slice_), sample=sample, as_json=json)


@app.command()
def fit(
    config: ConfigArgument,
    set_: SetOption = None,
    slice_: SliceOption = None,
    since: SinceOption = None,
    overwrite: OverwriteOption = False,
    verify: VerifyOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit the features and PCAs of a job, and publish only the fitted state, for `apply`."""
    from flows.cli.slices import run_slices
    from flows.config.job import FitJob, load_job

    run_slices(load_job(config, set_ or (), FitJob), slice_, since, overwrite=overwrite, verify=verify, quiet=quiet)


@app.command()
def apply(
    config: Annotated[
        str,
        typer.Argument(
            help="State, source and sink: the path or address of a YAML file, such as configs/flights-apply.yaml.",
            show_default=False,
        ),
    ],
    set_: SetOption = None,
    slice_: SliceOption = None,
    since: SinceOption = None,
    overwrite: OverwriteOption = False,
    verify: VerifyOption = False,
    quiet: QuietOption = False,
) -> None:
    """Apply a fitted state to other rows: the same features, windows and scores, and the drift of each column."""
    from flows.cli.slices import run_slices
    from flows.config.job import ApplyJob, load_job

    run_slices(load_job(config, set_ or (), ApplyJob), slice_, since, overwrite=overwrite, verify=verify, quiet=quiet)


@app.command()
def deploy(
    config: ConfigArgument,
    set_: SetOption = None,
    flow: Annotated[
        str | None,
        typer.Option(
            metavar="FLOW", help="extract, fit, apply or plan; by default apply, if the job names a state, else extract."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the deployment; by default that of the file.")] = None,
    pool: Annotated[str, typer.Option(help="Work pool whose workers run it.")] = "control",
    nightly: Annotated[bool, typer.Option("--nightly", help="Run it at four every night.")] = False,
    weekly: Annotated[bool, typer.Option("--weekly", help="Run it at five on Mondays.")] = False,
    cron: Annotated[str | None, typer.Option(help="Run it at these times, such as '30 4 * * *'.", show_default=False)] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(help="Time zone of the schedule; by default `slices.time_zone`, or UTC.", show_default=False),
    ] = None,
    slice: Annotated[
        str | None,
        typer.Option(
            help="The slice to run: previous, current, or a name. By default, a job that uses slices runs the one that holds "
            "the start time (current), or on a schedule the one before it (previous).",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the published result; the default on a schedule without slices.")
    ] = False,
    job_variable: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A variable of the pool's job template, such as image=NAME. May be repeated."),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Create or replace it on the configured Prefect server, and print how to start it.")
    ] = False,
) -> None:
    """Print a deployment of a job for `prefect deploy`, or create it on the Prefect server (--apply).

    Its runs can be given another slice: prefect deployment run apply/NAME --param slice=2026-11-28
    """
    from flows.cli.deploy import Wanted, schedule_of
    from flows.cli.deploy import deploy as deploy_job

    when = schedule_of(nightly=nightly, weekly=weekly, cron=cron)
    wanted = Wanted(flow, name, pool, when, time_zone, slice, overwrite, tuple(job_variable or ()))
    deploy_job(config, set_ or (), wanted, apply=apply)


@app.command()
def init(
    table: Annotated[
        str,
        typer.Argument(
            help="A Parquet file, folder, pattern or address in a bucket, or a BigQuery table PROJECT.DATASET.TABLE.",
            show_default=False,
        ),
    ],
    time: Annotated[str | None, typer.Option(help="Column that orders the rows.", show_default=False)] = None,
    entity: Annotated[
        list[str] | None,
        typer.Option(help="Column that tells the series apart. May be repeated.", show_default=False),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Column to predict.", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the job to this file.", show_default=False)
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(
            "--schema",
            help="Write the JSON schema of jobs to this file, too, and name it in the job, for editors to check it.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Look at a table, and print a commented job file for it that runs as it stands.

    It looks at the metadata and at most 50,000 rows. In a terminal, it asks where a guess is not sure.
    """
    from flows.cli.init import Named, write_job

    write_job(table, Named(time, tuple(entity or ()), target), output=output, schema=schema, force=force)


@app.command()
def expect(
    config: Annotated[
        str,
        typer.Argument(
            help="A job file with a `state`, or the place of a fitted state: the `sink.path` of `run` or `fit`, or "
            "`FOLDER/latest` of states.",
            show_default=False,
        ),
    ],
    slices: Annotated[
        str | None,
        typer.Option(
            metavar="SINK",
            help="The `sink.path` of slices that were good: bounds are widened until the last 28 meet them, too.",
            show_default=False,
        ),
    ] = None,
    set_: SetOption = None,
) -> None:
    """Propose what a job can expect of its rows: a section `expect` for its file that the training rows meet with a margin."""
    from flows.cli.expect import show_proposed

    show_proposed(config, set_ or [], slices_at=slices)


@app.command()
def demo(
    set_: SetOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    data: Annotated[Path, typer.Option(help="Folder for the table of flights and the result.")] = Path("data"),
) -> None:
    """Run an example job on the 336,776 flights that left New York in 2013."""
    from flows.cli.console import run_and_show
    from flows.config.job import load_job
    from flows.flights import demo_config, prepare_flights, prepare_weather

    table = prepare_flights(data / "flights.parquet")
    prepare_weather(data / "weather.parquet")  # for configs/weather.yaml
    places = [f"source.path={table}", f"sink.path={data / 'flights-features'}"]
    run_and_show(load_job(demo_config(), [*places, *(set_ or ())]), overwrite=overwrite, quiet=quiet)


@app.command()
def show(
    sink: SinkArgument,
    version: Annotated[str | None, typer.Option(help="A version that is kept there.", show_default=False)] = None,
    json: JsonOption = False,
) -> None:
    """Show what is published: the job, rows, features, windows, sizes, and the earlier versions that are kept."""
    from flows.cli.results import show_result

    show_result(sink, version=version, as_json=json)


app.command()(status)


@app.command()
def clean(
    sink: SinkArgument,
    keep: Annotated[
        int | None,
        typer.Option(min=0, help="Earlier results that stay; by default as `sink.keep_versions` said.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, and say what would be removed.")] = False,
    json: JsonOption = False,
) -> None:
    """Remove interrupted runs, and the oldest of the earlier results. Refused while a run is at work.

    An interrupted run that is removed does not resume; the published result stays.
    """
    from flows.cli.results import clean_result

    clean_result(sink, keep=keep, dry_run=dry_run, as_json=json)


@app.command()
def slices(
    sink: SinkArgument,
    json: JsonOption = False,
) -> None:
    """List the slices that are published at a sink: rows, windows, state, drift, when, and by whom."""
    from flows.cli.slices import show_slices

    show_slices(sink, as_json=json)


@app.command()
def states(
    folder: Annotated[str, typer.Argument(help="A folder of fitted states, one for each fit.", show_default=False)],
    json: JsonOption = False,
) -> None:
    """List the fitted states of a folder, newest first, and which one `FOLDER/latest` is."""
    from flows.cli.states import show_states

    show_states(folder, as_json=json)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="The `sink.path` of a job, or `FOLDER/latest` of states.", show_default=False)],
    b: Annotated[str, typer.Argument(help="Another one, the later of the two.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with all columns.")] = False,
) -> None:
    """Compare two results: settings, data, features, categories, medians, explained variance and drift."""
    from flows.cli.states import show_comparison

    show_comparison(a, b, as_json=json)


app.command()(explain)
app.command()(window_rows)
app.command()(report)


@app.command()
def settings(
    section: Annotated[
        str | None, typer.Argument(help="Only this section, such as windows or source.connection.", show_default=False)
    ] = None,
) -> None:
    """List every setting of a job with its values, default and meaning."""
    from flows.cli.console import show_settings

    show_settings(section)


@app.command()
def schema() -> None:
    """Print the JSON schema of job files, by which editors complete and check them.

    Save it beside a job, and begin the job with the line `# yaml-language-server: $schema=FILE`.
    """
    from flows.cli.console import print_text
    from flows.config.editor_schema import schema_text

    print_text(schema_text())


@app.command()
def backends(json: JsonOption = False) -> None:
    """Show the installed backends, their devices, and which one is chosen and why."""
    from flows.cli.console import show_backends

    show_backends(as_json=json)


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
    """Run the console script; errors meant for the user are shown without a traceback."""
    from emberharmony.errors import EmberharmonyError
    from flows.cli.startup import prepare_process
    from flows.cli.streams import OutputError, output_errors, prepare_streams

    prepare_streams()
    prepare_process(pandas="demo" in sys.argv[1:2])  # its table is made with pandas
    try:
        app()
    except EmberharmonyError as error:
        _end(error)
    except OSError as error:
        if error.filename is not None:
            from emberharmony.io.store.errors import translate

            _end(translate(error))
        try:
            with output_errors():  # fails if standard output is the cause
                typer.echo()
        except OutputError as lost:
            _end(lost)
        raise  # not about a file: it may be a bug


def _end(error: Exception) -> NoReturn:
    from flows.cli.console import show_error

    show_error(error)
    raise SystemExit(1) from None
