"""Summarise a finished run in lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from emberharmony.io.manifest import Manifest, WindowCounts
from emberharmony.messages import count_of
from emberharmony.page.scripts import INSTALL, has_scripts
from emberharmony.pipeline.execute import RunResult
from emberharmony.pipeline.spec import JOBS
from emberharmony.report.drift_rows import drift_line
from emberharmony.report.elapsed import Elapsed
from emberharmony.report.expectation_lines import expectation_lines
from emberharmony.report.markdown import table_row
from emberharmony.report.state_changes import comparison_lines, state_text

MAX_NAMED = 5
"""Number of columns named in one line; the manifest lists all of them."""
MANY = 0.01
"""Share of rows with a time in common with another row above which the table probably mixes several series."""
MIXED = "several series may be mixed, and windows run across them; if so, name what tells them apart in `columns.entity`"
MAX_REASONS = 10
"""Number of lines for columns without features."""


def explained_rows(result: RunResult) -> list[dict[str, object]]:
    """One row per component of every stride."""
    rows: list[dict[str, object]] = []
    for stride, counts in result.manifest.strides.items():
        total = 0.0
        for number, ratio in enumerate(counts.explained_variance_ratio, start=1):
            total += ratio
            rows.append({"stride": int(stride), "component": number, "share": f"{ratio:.4f}", "cumulative": f"{total:.4f}"})
    return rows


def summary_lines(result: RunResult, elapsed: Elapsed | None = None) -> Iterator[tuple[str, str]]:
    """Labels and texts of a summary, in the order in which they are printed."""
    yield from manifest_lines(result.manifest)
    if result.did_work:
        speed = f"{result.rows_per_second:,.0f} rows/s"
        yield "time", f"{result.seconds:.1f} s, {speed}, engine {result.engine}"
        if elapsed:
            yield "elapsed", str(elapsed)
        if result.report:
            yield "report", result.report
        elif not has_scripts():
            yield "report", f"none was written: {INSTALL} adds what draws it"
        yield "memory", f"{result.peak_bytes / 2**20:,.0f} MiB at most, {result.projected_bytes / 2**20:,.0f} MiB planned"


def manifest_lines(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Labels and texts of what a result consists of."""
    if manifest.applied_state:
        yield "state", state_text(manifest.applied_state)
    yield "rows", f"{manifest.source_rows:,} read; " + ", ".join(f"{n:,} {split}" for split, n in manifest.rows.items())
    if manifest.null_times:
        yield "left out", f"{count_of(manifest.null_times, 'row')} without a time"
    if manifest.context:
        yield "context", _context(manifest)
    if manifest.left_out:
        yield "left out", f"{count_of(manifest.left_out, 'row')} in the gaps between splits"
    yield "features", f"{len(manifest.features):,}: {_by_kind(manifest)}"
    yield from _dropped(manifest.dropped)
    if manifest.nonfinite:
        yield "missing", _not_finite(manifest.nonfinite)
    if manifest.clipped or any(counts.clipped for counts in manifest.strides.values()):
        yield "clipped", _clipped(manifest)
    if manifest.series:
        yield "series", _series(manifest.series)
    for stride, counts in manifest.strides.items():
        windows = ", ".join(f"{n:,} {split}" for split, n in counts.windows.items())
        yield f"stride {stride}", f"{windows} windows; {_explained(counts)}"
    yield from _mixed_series(manifest)
    if manifest.drift:
        yield "drift", drift_line(manifest.drift, most=MAX_NAMED)
    yield from expectation_lines(manifest.expectations)
    yield from comparison_lines(manifest.comparison)
    yield "backend", ", ".join(manifest.backends)


def summary_markdown(result: RunResult) -> str:
    """The summary as a Markdown table."""
    outputs = ", ".join(f"`{output}`" for output in result.outputs)
    lines = map(table_row, [*summary_lines(result), ("output", outputs)])
    return "\n".join(["| | |", "|---|---|", *lines])


def _explained(counts: WindowCounts) -> str:
    fitted = f"{counts.explained:.1%} of the training windows' variance"
    explain = f"{count_of(counts.components, 'component')} explain{'s' if counts.components == 1 else ''}"
    if counts.applied_explained is None:
        return f"{explain} {fitted}"
    return f"{explain} {counts.applied_explained:.1%} of their variance, {fitted}"


def _series(series: Mapping[str, Mapping[str, int]]) -> str:
    """Number of series by split, and of those that are too short."""
    total = sum(found["series"] for found in series.values())
    short = sum(found["shorter_than_window"] for found in series.values())
    counts = ", ".join(f"{found['series']:,} {split}" for split, found in series.items())
    return f"{counts}; {short:,} of {total:,} are shorter than a window"


def _context(manifest: Manifest) -> str:
    """Rows from before the slice, and series with too few of them."""
    needed, short = manifest.spec["windows"]["size"] - 1, manifest.context["short"]
    text = f"{manifest.context['rows']:,} rows from before the slice complete its windows and are not published"
    if not short:
        return text
    return f"{text}; {short:,} series have fewer than {needed:,}, so their first windows are missing"


def _mixed_series(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Warnings that windows may run from one series of the table into another."""
    n_rows = manifest.n_rows if JOBS[manifest.kind].publishes_rows else manifest.rows["train"]
    if manifest.shared_times > MANY * n_rows:
        yield "warning", f"{manifest.shared_times:,} of {n_rows:,} rows share their time with another row: {MIXED}"
    if manifest.key_changes:
        keys = ", ".join(manifest.spec["split"]["keys"])
        changes = f"{keys} changes {manifest.key_changes:,} times within the splits"
        yield "warning", f"{changes}: windows across a change hold rows of both series"


def _dropped(reasons: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Columns without features, grouped by reason."""
    columns: dict[str, list[str]] = {}
    for column, reason in reasons.items():
        if reason != "dropped by the configuration":
            columns.setdefault(reason, []).append(column)
    for reason, names in list(columns.items())[:MAX_REASONS]:
        yield "", f"no features from {_some(names)}: {reason}"
    rest = sum(map(len, list(columns.values())[MAX_REASONS:]))
    if rest:
        yield "", f"no features from {rest:,} more columns: manifest.json lists the reasons"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED:,} more columns" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _not_finite(counts: Mapping[str, int]) -> str:
    """Columns with non-finite values, largest count first."""
    return f"{sum(counts.values()):,} training values are NaN or infinite and count as missing: {_counted(counts)}"


def _clipped(manifest: Manifest) -> str:
    """Columns and strides with values beyond float32, largest count first."""
    scores = {f"scores of stride {stride}": counts.clipped for stride, counts in manifest.strides.items() if counts.clipped}
    counts = {**manifest.clipped, **scores}
    return f"{sum(counts.values()):,} values exceed float32 and were clipped to its range: {_counted(counts)}"


def _counted(counts: Mapping[str, int]) -> str:
    return _some([f"{name} ({counts[name]:,})" for name in sorted(counts, key=lambda name: -counts[name])])


def _by_kind(manifest: Manifest) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in manifest.features_by_kind.items())
