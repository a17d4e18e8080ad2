"""What a run came to, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator

from flows.compose import Outcome


def explained_rows(outcome: Outcome) -> list[dict[str, object]]:
    """One row for each component of every stride."""
    rows: list[dict[str, object]] = []
    for stride, counts in outcome.manifest.strides.items():
        total = 0.0
        for number, ratio in enumerate(counts.explained_variance_ratio, start=1):
            total += ratio
            rows.append({"stride": int(stride), "component": number, "share": f"{ratio:.4f}", "cumulative": f"{total:.4f}"})
    return rows


def summary_lines(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Labels and texts of a summary, in the order in which a reader asks."""
    manifest = outcome.manifest
    yield "rows", f"{manifest.source_rows:,} read; " + ", ".join(f"{n:,} {split}" for split, n in manifest.rows.items())
    if manifest.null_times:
        yield "left out", f"{manifest.null_times:,} rows without a time"
    if manifest.left_out:
        yield "left out", f"{manifest.left_out:,} rows in the gaps between splits"
    yield "features", f"{len(manifest.features):,}: {_by_kind(outcome)}"
    for column, reason in manifest.dropped.items():
        if reason != "dropped by the configuration":
            yield "", f"none of {column}: {reason}"
    for stride, counts in manifest.strides.items():
        windows = ", ".join(f"{n:,} {split}" for split, n in counts.windows.items())
        yield f"stride {stride}", f"{windows} windows; {counts.components} components explain {counts.explained:.1%}"
    yield "backend", ", ".join(manifest.backends)
    if outcome.did_work:
        speed = f"{outcome.rows_per_second:,.0f} rows/s"
        yield "time", f"{outcome.seconds:.1f} s, {speed}, engine {outcome.engine}"
        yield "memory", f"{outcome.peak_bytes / 2**20:,.0f} MiB at most, {outcome.projected_bytes / 2**20:,.0f} MiB planned"


def summary_markdown(outcome: Outcome) -> str:
    """The summary as a Markdown table."""
    lines = [f"| {label} | {text} |" for label, text in [*summary_lines(outcome), ("output", f"`{outcome.sink}`")]]
    return "\n".join(["| | |", "|---|---|", *lines])


def _by_kind(outcome: Outcome) -> str:
    names = {"numeric": "numbers", "boolean": "booleans", "datetime": "of times", "categorical": "of categories"}
    return ", ".join(f"{count:,} {names[kind]}" for kind, count in outcome.manifest.features_by_kind.items())
