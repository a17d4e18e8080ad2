"""Hold the figures of a job's rows against what is expected of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, Final, Literal, NamedTuple, Self

from emberharmony.errors import ExpectationError, PlanError
from emberharmony.expectations.spec import ExpectedRows, ExpectSpec, OnFailure
from emberharmony.features.kinds.registry import kind_named
from emberharmony.messages import did_you_mean, listed, printable, shown
from emberharmony.stats.chance import most_by_chance, smoothed_share

Outcome = Literal["passed", "warned", "failed", "too few rows"]
Figures = Mapping[str, float]
"""Of a column's rows, as in `Manifest.drift`; rows that a job fits on are compared with none, and have no drift."""

LEAST_EARLIER: Final = 3
"""Earlier slices without which the number of rows is not compared with theirs."""
MAX_LISTED: Final = 30
"""Expectations that an error's message lists at most."""
AGAINST_TRAINING: Final = ("max_new_share", "max_psi")
"""Bounds on how far rows are from the training rows."""


@dataclass(frozen=True)
class Verdict:
    """One expectation, the number that was found, and whether it is within its bound."""

    expectation: str
    """Key below `expect.columns`, or below `expect`: ``dep_delay.max_psi``, ``rows.min``."""
    outcome: Outcome
    found: float
    bound: float
    rows: int
    """How many rows it was judged on."""
    chance: float | None = None
    """What chance gives as many rows without drift, where that is more than the bound."""
    note: str = ""
    """What was found, if it is no number."""

    @property
    def text(self) -> str:
        """The number, its bound, and the number of rows.

        Examples
        --------
        >>> Verdict("carrier.max_psi", "failed", found=0.6123, bound=0.25, rows=1204).text
        'carrier.max_psi: 0.612, at most 0.25 is expected; judged on 1,204 rows'
        """
        if self.note:
            return printable(f"{self.expectation}: {self.note}")
        key = self.expectation.rpartition(".")[2]
        side = "at least" if key == "min" or (key == "of_median" and self.found < self.bound) else "at most"
        is_few = self.outcome == "too few rows" and self.chance is not None
        by_chance = f", and chance gives up to {number_text(self.chance or 0.0)}" if is_few else ""
        judged = "" if self.expectation.startswith(ROWS) else f"; judged on {self.rows:,} rows"
        found, bound = number_text(self.found), number_text(self.bound)
        return printable(f"{self.expectation}: {found}, {side} {bound} is expected{by_chance}{judged}")

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], /) -> Self:
        """Return the verdict that `to_json` has written."""
        return cls(**data)


ROWS: Final = "rows."


class _Measured(NamedTuple):
    """A number of a column, and how far it may lie from its bound by chance."""

    found: float
    limit: float
    is_out: bool
    """Whether it is out of bounds, or can be without drift, as far as so few rows tell."""


def judge(
    expect: ExpectSpec,
    *,
    n_rows: int,
    figures: Mapping[str, Figures],
    without_features: Mapping[str, str] | None = None,
    earlier_rows: Sequence[int] = (),
) -> list[Verdict]:
    """Judge the rows of a job by what is expected of them.

    Parameters
    ----------
    expect : ExpectSpec
        The bounds.
    n_rows : int
        Rows of the job.
    figures : mapping of str to mapping
        By column, what is known of its rows.
    without_features : mapping of str to str, optional
        Columns that the fit has dropped, and why: what a job expects of one of them is not met.
    earlier_rows : sequence of int
        Rows of the last slices before this one.

    Returns
    -------
    list of Verdict
        One for each bound that the column has a number for, in the order of the columns.

    Examples
    --------
    >>> from emberharmony.expectations.spec import ExpectedColumn
    >>> expect = ExpectSpec(columns={"x": ExpectedColumn(max=10, max_null_share=0.5, on_failure="warn")})
    >>> for verdict in judge(expect, n_rows=200, figures={"x": {"rows": 200, "null_share": 0.1, "min": 1, "max": 12}}):
    ...     print(verdict.outcome, verdict.text)
    passed x.max_null_share: 0.1, at most 0.5 is expected; judged on 200 rows
    warned x.max: 12, at most 10 is expected; judged on 200 rows
    """
    dropped = without_features or {}
    verdicts = [*_of_rows(expect.rows, n_rows, earlier_rows)]
    for column, found in figures.items():
        verdicts += _of_column(expect, column, found)
    for column, expected in expect.columns.items():
        if column in dropped and expected.bounds:
            outcome, note = _outcome(True, expect.of(column).on_failure), f"the column makes no features: {dropped[column]}"
            verdicts.append(Verdict(column, outcome, 0.0, 0.0, n_rows, note=note))
    return verdicts


def check_expected(expect: ExpectSpec, kinds: Mapping[str, str], *, fits: bool, has_slice: bool) -> None:
    """Refuse bounds that a job has no number for.

    Parameters
    ----------
    expect : ExpectSpec
        The bounds.
    kinds : mapping of str to str
        Kind of each column that features are made of.
    fits : bool
        Whether the job fits, so that its rows are not compared with training rows.
    has_slice : bool
        Whether the job is of one slice.

    Raises
    ------
    PlanError
        If it has some; the message names the column and the key.
    """
    if expect.rows.of_median and not has_slice:
        raise PlanError(
            "expect.rows.of_median compares a slice with earlier ones, and this job is not run slice by slice. Use "
            "expect.rows.min and expect.rows.max, or give the job a section `slices`."
        )
    for place, expected in {"all": expect.all, **{f"columns.{name}": of for name, of in expect.columns.items()}}.items():
        key = next((key for key in expected.bounds if fits and key in AGAINST_TRAINING), None)
        if key:
            raise PlanError(
                f"expect.{place}.{key} compares rows with those that a state was fitted on, and a job that fits has no "
                f"others. Put it into the job that applies the state."
            )
    for name, expected in expect.columns.items():
        if name not in kinds:
            raise PlanError(
                f"expect.columns names {shown(name)}, and the job makes no features of a column of that name, so nothing of "
                f"it is counted.{did_you_mean(name, kinds)}"
            )
        allowed = kind_named(kinds[name]).bounds
        key = next((key for key in expected.bounds if key not in allowed), None)
        if key:
            raise PlanError(f"expect.columns.{name}.{key}: a {kinds[name]} column has {listed(allowed)}, and no {key}.")


def count_bounds(expect: ExpectSpec, kinds: Mapping[str, str]) -> Counter[OnFailure]:
    """Count the numbers that a job judges, by what becomes of it if one is out of bounds.

    Examples
    --------
    >>> from emberharmony.expectations.spec import ExpectedColumn, ExpectedValues
    >>> all_columns = ExpectedValues(max_psi=0.25, on_failure="warn")
    >>> expect = ExpectSpec(all=all_columns, columns={"x": ExpectedColumn(on_failure="fail")})
    >>> dict(count_bounds(expect, {"x": "numeric", "y": "categorical", "t": "datetime"}))
    {'fail': 1, 'warn': 1}
    """
    rows = expect.rows
    counted: Counter[OnFailure] = Counter()
    n_of_rows = sum(bound is not None for bound in (rows.min, rows.max, rows.of_median))
    if n_of_rows:
        counted[rows.on_failure] += n_of_rows
    for column, kind in kinds.items():
        expected = expect.of(column)
        n_of_column = len(expected.bounds.keys() & {*kind_named(kind).bounds})
        if n_of_column:
            counted[expected.on_failure or "fail"] += n_of_column
    return counted


def error_of(verdicts: Sequence[Verdict], *, part: str = "") -> ExpectationError | None:
    """Return the error that lists the failed expectations, each number with its bound; ``None`` if none has failed.

    Parameters
    ----------
    verdicts : sequence of Verdict
        All of them.
    part : str
        Name of the slice that was judged; empty for a whole table.

    Examples
    --------
    >>> print(error_of([Verdict("rows.min", "failed", 3, 1000, 3), Verdict("rows.max", "passed", 3, 9000, 3)]))
    1 of 2 expectations is not met, so nothing was published:
      rows.min: 3, at least 1,000 is expected
    What was made is kept. ...
    """
    failed = [verdict for verdict in verdicts if verdict.outcome == "failed"]
    if not failed:
        return None
    lines = [f"  {verdict.text}" for verdict in failed[:MAX_LISTED]]
    more = [f"  and {len(failed) - MAX_LISTED:,} more"] if len(failed) > MAX_LISTED else []
    of_slice = f"Slice {part}: " if part else ""
    begin = f"{of_slice}{len(failed):,} of {len(verdicts):,} expectations {'is' if len(failed) == 1 else 'are'} not met"
    advice = (
        "What was made is kept. If the rows are as they should be, change `expect` and run the same command again: it goes on "
        "at publishing. `on_failure: warn` publishes, and warns."
    )
    text = "\n".join([f"{begin}, so nothing was published:", *lines, *more, advice])
    return ExpectationError(text, [verdict.to_json() for verdict in failed[:MAX_LISTED]], n_failed=len(failed))


def number_text(value: float) -> str:
    """A number with three digits, or all those before the point.

    Examples
    --------
    >>> number_text(1204.0), number_text(0.061234), number_text(-43.25), number_text(1e12)
    ('1,204', '0.0612', '-43.2', '1e+12')
    """
    if abs(value) >= 1e9:
        return f"{value:.6g}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _of_rows(expected: ExpectedRows, n_rows: int, earlier: Sequence[int]) -> Iterator[Verdict]:
    bounds: dict[str, tuple[float | None, float | None]] = {"min": (expected.min, None), "max": (None, expected.max)}
    if expected.of_median and len(earlier) >= LEAST_EARLIER:
        usual = median(earlier)
        bounds["of_median"] = (expected.of_median[0] * usual, expected.of_median[1] * usual)
    for key, (low, high) in bounds.items():
        if low is None and high is None:
            continue
        is_low, is_high = low is not None and n_rows < low, high is not None and n_rows > high
        bound = low if is_low or high is None else high
        assert bound is not None
        yield Verdict(ROWS + key, _outcome(is_low or is_high, expected.on_failure), n_rows, bound, n_rows)


def _of_column(expect: ExpectSpec, column: str, found: Figures) -> Iterator[Verdict]:
    expected = expect.of(column)
    for key, bound in expected.bounds.items():
        measured = _MEASURES[key](found, bound)
        if measured is None:
            continue
        verdict = Verdict(f"{column}.{key}", "passed", measured.found, bound, int(found["rows"]))
        if measured.is_out:
            is_few = measured.limit > bound and measured.found <= measured.limit
            chance = measured.limit if measured.limit > bound else None
            outcome: Outcome = "too few rows" if is_few else _outcome(True, expected.on_failure)
            verdict = replace(verdict, outcome=outcome, chance=chance)
        yield verdict


def _outcome(is_out: bool, on_failure: OnFailure | None) -> Outcome:
    if not is_out:
        return "passed"
    return "warned" if on_failure == "warn" else "failed"


def _least(found: Figures, bound: float) -> _Measured | None:
    return _Measured(found["min"], bound, found["min"] < bound) if "min" in found else None


def _largest(found: Figures, bound: float) -> _Measured | None:
    return _Measured(found["max"], bound, found["max"] > bound) if "max" in found else None


def _null_share(found: Figures, bound: float) -> _Measured:
    share = found["null_share"]
    limit = _limit(bound, share - found["null_share_change"], found) if "null_share_change" in found else bound
    return _Measured(share, limit, share > bound)


def _new_share(found: Figures, bound: float) -> _Measured | None:
    if "other_share_change" not in found:
        return None
    change = found["other_share_change"]
    before = found["other_share"] - change
    return _Measured(max(change, 0.0), max(bound, _limit(before + bound, before, found) - before), change > bound)


def _psi(found: Figures, bound: float) -> _Measured | None:
    if "psi" not in found:
        return None
    psi, chance = found["psi"], found["psi_by_chance"]
    # Few rows are too few also if their index is within its bound: it hardly says anything.
    return _Measured(psi, max(bound, chance), psi > bound or chance > bound)


def _limit(bound: float, training: float, found: Figures) -> float:
    """The share that rows exceed hardly ever if it is that of the training rows, and not above the bound."""
    n_training = int(found["training_rows"])
    return max(bound, most_by_chance(min(smoothed_share(round(training * n_training), n_training), bound), int(found["rows"])))


_MEASURES: Mapping[str, Callable[[Figures, float], _Measured | None]] = {
    "min": _least,
    "max": _largest,
    "max_null_share": _null_share,
    "max_new_share": _new_share,
    "max_psi": _psi,
}
