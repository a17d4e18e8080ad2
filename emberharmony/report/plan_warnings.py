"""What is worth a look before a job is run: from its settings and metadata, and from sampled rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from emberharmony.arrow import is_text
from emberharmony.features.kinds.registry import kind_named
from emberharmony.io.sources.registry import open_source
from emberharmony.messages import listed, size_text
from emberharmony.pipeline.plan import Plan
from emberharmony.pipeline.server_layout import arranging_setting
from emberharmony.report.plan_figures import PlanWarning
from emberharmony.report.summary import MANY, MIXED
from emberharmony.splits import SPLITS
from emberharmony.suggest.feature_rules import Roles, rule_for
from emberharmony.suggest.table_sample import SampledColumn, TableSample

_MOST_NAMED: Final = 6
_MOST_VALUES: Final = 1_000
"""Distinct texts that are looked at."""
_LEAK: Final = 0.999
"""Absolute correlation with the target from which a number says the same as it."""
_LEAST_ROWS: Final = 20
"""Sampled rows below which nothing is concluded from a share of them."""
_MOSTLY: Final = 0.5
_LOOKS_LIKE: Final = 0.95
"""Share of a column's distinct texts that have to look like numbers or dates."""
_NUMBER: Final = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?")
"""A number; digits after a leading zero are a code, such as a postal code."""
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?|\d{1,2}[./]\d{1,2}[./]\d{4}(?: \d\d:\d\d.*)?")


def plan_warnings(plan: Plan) -> Iterator[PlanWarning]:
    """Yield what settings and metadata tell."""
    spec = plan.spec
    times = [c.name for c in plan.roles.features if kind_named(c.kind).step == "datetime-features"]
    if spec.job.fits and times and spec.datetime.cycle == "inclusive":
        yield PlanWarning(
            "cycle_inclusive",
            "`datetime.cycle: inclusive` puts 23:00 on 00:00, Sunday on Monday, the 31st on the 1st and December on January; "
            "`calendar` keeps them apart",
            tuple(times),
        )
    if spec.windows.halo and plan.n_shared_times > MANY * plan.n_rows:
        shared = f"at least {plan.n_shared_times:,} of {plan.n_rows:,} rows share their time with another row"
        yield PlanWarning("shared_times", f"{shared}: {MIXED}")
    if plan.inputs:
        yield from _arranged_here(plan, arranging_setting(open_source(spec.source)))


def _arranged_here(plan: Plan, setting: str | None) -> Iterator[PlanWarning]:
    if setting:
        yield PlanWarning(
            "arranged_here",
            f"The rows are arranged on {size_text(plan.arranged_bytes)} of this job's own disk; the server does that in a "
            f"copy of the columns that are read, if `{setting}` says where",
        )


def sample_warnings(plan: Plan, sample: TableSample) -> Iterator[PlanWarning]:
    """Yield what sampled rows tell of the columns that make features, and of the series.

    Parameters
    ----------
    plan : Plan
        The planned job.
    sample : TableSample
        Rows of its table, with all columns that it reads.
    """
    roles = Roles(plan.roles.time, plan.roles.entity, plan.roles.target)
    columns = [sample.columns[c.name] for c in plan.roles.features if c.name in sample.columns and c.name != roles.time]
    rules = {column.name: rule.code for column in columns if (rule := rule_for(column, sample, roles)) is not None}
    looked = _Looked(plan, sample, roles, rules)
    for check in CHECKS:
        notes = {column.name: note for column in columns if (note := check.note(column, looked)) is not None}
        if notes:
            named = [f"{name} ({note})" if note else name for name, note in notes.items()]
            yield PlanWarning(check.code, f"{check.text}: {listed(named, most=_MOST_NAMED)}", tuple(notes))
    yield from _short_series(plan, sample)
    yield from _shared_times(plan, sample)


@dataclass(frozen=True)
class _Looked:
    """What the checks of a column may ask about."""

    plan: Plan
    sample: TableSample
    roles: Roles
    rules: Mapping[str, str]  # code of the rule that holds for a column

    @property
    def target(self) -> SampledColumn | None:
        return self.sample.columns.get(self.roles.target) if self.roles.target else None


@dataclass(frozen=True)
class Check:
    """Something that may be odd about a column."""

    code: str
    text: str
    note: Callable[[SampledColumn, _Looked], str | None]
    """What to say of a column, which may be nothing; ``None`` if it is not odd."""


def _rule(code: str) -> Callable[[SampledColumn, _Looked], str | None]:
    return lambda column, looked: "" if looked.rules.get(column.name) == code else None


def _leaks(column: SampledColumn, looked: _Looked) -> str | None:
    if looked.rules.get(column.name) == "equals_target":
        return "equal to it"
    target = looked.target
    if target is None or not (_is_number(column.type) and _is_number(target.type)):
        return None
    x, y = (c.values.cast(c.type).cast(pa.float64(), safe=False).to_numpy() for c in (column, target))
    there = np.isfinite(x) & np.isfinite(y)
    with np.errstate(all="ignore"):
        x, y = x[there], y[there]
        if len(x) < _LEAST_ROWS or not x.std() or not y.std():
            return None
        r = float(np.corrcoef(x, y)[0, 1])
    return f"correlation {r:.4f}" if abs(r) > _LEAK else None


def _has_many_values(column: SampledColumn, looked: _Looked) -> str | None:
    specs = looked.plan.spec.features
    kind = next(c.kind for c in looked.plan.roles.features if c.name == column.name)
    if kind_named(kind).counted(specs) != "categories" or (column.n_distinct or 0) <= specs.categories.max_categories:
        return None
    return f"{column.n_distinct:,}{'' if looked.sample.is_whole else ' in the sample'}"


def _is_mostly_null(column: SampledColumn, looked: _Looked) -> str | None:
    share = column.n_null / column.n_rows if column.n_rows else 0.0
    return f"{share:.0%}" if column.n_rows >= _LEAST_ROWS and share > _MOSTLY else None


def _is_constant(column: SampledColumn, looked: _Looked) -> str | None:
    return "" if column.n_rows >= _LEAST_ROWS and column.is_constant else None


def _holds_numbers(column: SampledColumn, looked: _Looked) -> str | None:
    return _example(column, _NUMBER)


def _holds_dates(column: SampledColumn, looked: _Looked) -> str | None:
    return _example(column, _DATE)


def _example(column: SampledColumn, pattern: re.Pattern[str]) -> str | None:
    """Return a text of the column, if nearly all of its texts match a pattern."""
    if not is_text(column.type) or (column.n_distinct or 0) < 2:
        return None
    texts = pc.drop_null(pc.unique(column.values.cast(pa.large_string()))).slice(0, _MOST_VALUES).to_pylist()
    matching = [text for text in texts if pattern.fullmatch(text.strip())]
    return f"such as {matching[0]!r}" if len(matching) >= max(2, _LOOKS_LIKE * len(texts)) else None


def _is_number(type_: pa.DataType) -> bool:
    return bool(pt.is_integer(type_) or pt.is_floating(type_) or pt.is_boolean(type_))


def _short_series(plan: Plan, sample: TableSample) -> Iterator[PlanWarning]:
    """Warn where most entities have fewer rows than a window: an upper bound of the mean, since others may not be sampled."""
    spec = plan.spec
    if not plan.roles.entity or not spec.windows.strides or not sample.rows.num_rows:
        return
    found = sample.groups(plan.roles.entity)
    if found is None:
        return
    n_entities = len(np.unique(found))
    mean = plan.n_rows / n_entities
    by_time = spec.job.fits and spec.split_method == "temporal"
    share = min(f for f in spec.split.fractions if f) if by_time else 1.0
    if share * mean < spec.windows.reach:
        where = f" in the {SPLITS[spec.split.fractions.index(share)]} split" if by_time else ""
        yield PlanWarning(
            "short_series",
            f"An entity has at most {share * mean:,.1f} rows{where} on average, and a window needs {spec.windows.reach}; "
            f"short series make none. Lower `windows.size`, or divide the rows by entity (`split.method: hash`)",
            plan.roles.entity,
        )


def _shared_times(plan: Plan, sample: TableSample) -> Iterator[PlanWarning]:
    """Warn where sampled rows share their time; metadata tell only of tables that have fewer times than rows."""
    roles, n_rows = plan.roles, sample.rows.num_rows
    if roles.time is None or not plan.spec.windows.halo or plan.n_shared_times > MANY * plan.n_rows:
        return
    found = sample.groups([*roles.entity, roles.time])
    if found is None:
        return
    _, counts = np.unique(found, return_counts=True)
    n_shared = int(counts[counts > 1].sum())
    if n_shared > MANY * n_rows:
        shared = f"{n_shared:,} of {n_rows:,} sampled rows share their time with another one" + (
            " of their entity; name what tells them apart in `columns.entity`, too" if roles.entity else ""
        )
        yield PlanWarning("shared_times", shared if roles.entity else f"{shared}: {MIXED}", (roles.time,))


CHECKS: Final = (
    Check("leaks_target", "Says the same as the target, so a model would only copy it; `drop` what is known after it", _leaks),
    Check("equals_time", "Equals the time; `drop` it", _rule("equals_time")),
    Check("part_of_time", "A part of the time, whose features say the same; `drop` it", _rule("part_of_time")),
    Check("too_wide", "Holds numbers too far apart for a standard deviation; `drop` it", _rule("too_wide")),
    Check("identifier", "An identifier, different in every row; move it to `columns.passthrough`", _rule("identifier")),
    Check("long_text", "Long texts that hardly repeat make poor categories; `drop` them", _rule("long_text")),
    Check("text_of_numbers", "Texts that are numbers become categories; convert the column in the source", _holds_numbers),
    Check("text_of_dates", "Texts that are dates become categories; convert the column in the source", _holds_dates),
    Check("many_values", "More values than `categories.max_categories`: all others share one feature", _has_many_values),
    Check("mostly_null", "Mostly null; beyond `columns.high_null_threshold` a column makes no feature", _is_mostly_null),
    Check("constant", "The same in every sampled row; a constant column tells a model nothing", _is_constant),
)
"""The checks, in the order in which they are reported."""
