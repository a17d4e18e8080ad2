"""A plan and a result, each in one sentence, for logs and messages."""

from __future__ import annotations

from emberharmony.io.manifest import Manifest
from emberharmony.io.store.address import without_query
from emberharmony.messages import count_of
from emberharmony.pipeline.execute import RunResult
from emberharmony.pipeline.plan import Plan


def plan_sentence(plan: Plan, backend: str) -> str:
    """Rows and chunks of a plan, how its rows are ordered, the backend, and the planned memory."""
    by = "planned time ranges" if plan.spec.columns.time else "ranges of a key"
    order = "in order" if plan.in_order else "arranged first" if plan.inputs else f"ordered by {by}"
    rows, chunks = count_of(plan.n_rows, "row"), count_of(len(plan.chunks), "chunk")
    return (
        f"{rows} in {chunks} of up to {max(c.n_rows for c in plan.chunks):,}, {order}; "
        f"backend {backend}; at most {plan.memory.projected_bytes / 2**20:,.0f} MiB"
    )


def result_sentence(result: RunResult) -> str:
    """What a run has published, or that there was nothing to do."""
    sink, manifest = without_query(result.sink), result.manifest
    if not result.did_work:
        return f"Nothing to do: this result is published already, in {sink} (fingerprint {manifest.fingerprint})."
    return f"Published {_content(manifest)} in {sink}."


def _content(manifest: Manifest) -> str:
    n_rows = manifest.n_rows
    if not manifest.holds_rows:
        return f"the state fitted on {manifest.rows.get('train', n_rows):,} training rows"
    n_windows = sum(manifest.windows_by_stride.values())
    return f"{n_rows:,} rows" + (f" and {n_windows:,} windows" if manifest.strides else "")
