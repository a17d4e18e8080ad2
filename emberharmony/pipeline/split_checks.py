"""Checks that the splits have enough rows for the windows and components, made as early as possible."""

from __future__ import annotations

from collections.abc import Mapping

from emberharmony.errors import PlanError
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.splits import SPLITS
from emberharmony.stats.runs import Runs
from emberharmony.stats.series_span import SeriesSpan
from emberharmony.windows import n_windows

_TOGETHER = {"temporal": "; rows of equal time stay together", "hash": "; rows of equal keys stay together"}


def check_method(spec: PipelineSpec) -> None:
    """Refuse a split that contradicts the job's order or its windows.

    Raises
    ------
    PlanError
        If the split needs an order that the rows do not have, or parts the rows of windows.
    """
    method, time = spec.split_method, spec.columns.time
    if method == "temporal" and time is None:
        raise PlanError(
            "A temporal split needs a time column: name it in `columns.time`, or choose `split.method: sequential` (the first "
            "rows train) or `hash`."
        )
    if spec.windows.max_gap and time is None:
        raise PlanError(
            "`windows.max_gap` is a time between rows, and this job has no time column: name it in `columns.time`, or leave "
            "`max_gap` out."
        )
    if spec.windows.horizon and spec.job.fits and not spec.columns.target:
        raise PlanError(
            "`windows.horizon` says how many rows later a window's label is, and this job has no labels: name them in "
            "`columns.target`, or leave `horizon` out."
        )
    if method == "hash" and not spec.split_keys:
        raise PlanError(
            "A hash split needs the columns whose values decide: name them in `split.keys`, or the series of the table in "
            "`columns.entity`."
        )
    if method == "sequential" and spec.columns.entities:
        raise PlanError(
            "A sequential split follows the order of all rows, and `columns.entity` orders them series by series: whole "
            "series would train, and others test. Set `split.method: temporal` (all series at the same times) or "
            "`hash` (whole series)."
        )
    if spec.split.gap and method != "temporal":
        raise PlanError(
            f"`split.gap` is a time between the splits of a temporal split, and this job's split is {method}. Omit it, or "
            f"name the time column in `columns.time`."
        )
    if method == "sequential" and time is None and not spec.source.has_order:
        raise PlanError(
            "A sequential split follows the order of the rows, and these have none: name the column that orders them in "
            "`columns.time` or `source.key`, or set `split.method: random`."
        )
    if method == "random" and spec.windows.halo and (time or spec.source.has_order):  # otherwise no split would help
        raise PlanError(
            f"Windows of {spec.windows.size} rows need neighbouring rows, and `split.method: random` draws every row's split "
            f"on its own: the windows would skip rows of the other splits. Set `split.method: sequential` (by row order), "
            f"`temporal` (by `columns.time`) or `hash` (of whole series), or make no windows (`windows.strides: []`)."
        )


def check_rows(spec: PipelineSpec, n_rows: int) -> None:
    """Refuse windows that a table of `n_rows` cannot have, whichever rows each split gets.

    Raises
    ------
    PlanError
        If a split is certain to be smaller than a window, or the training split to have a single one.
    """
    if not spec.job.fits or not spec.windows.strides:
        return
    size, most = spec.windows.reach, _most_rows(spec, n_rows)
    wanted = [split for split, fraction in zip(SPLITS, spec.split.fractions, strict=True) if fraction]
    for split in wanted:
        if most[split] < size:
            raise PlanError(_too_small(f"The {split} split has at most {most[split]:,}", n_rows, spec))
    if n_rows < size * len(wanted):
        raise PlanError(_too_small(f"{len(wanted)} splits ({', '.join(wanted)}) share {n_rows:,}", n_rows, spec))
    for stride in spec.windows.strides:
        if n_windows(size, stride, most["train"]) < 2:
            raise PlanError(
                f"The train split has at most {most['train']:,} of {n_rows:,} rows, which make one window of {size} rows at "
                f"stride {stride}; a PCA needs two. Lower `windows.size` or that stride, or give training more rows "
                f"(`split.fractions`)."
            )


def check_components(spec: PipelineSpec, *, n_rows: int, n_features: int) -> None:
    """Refuse more components than a PCA of the training windows can have.

    Parameters
    ----------
    spec : PipelineSpec
        The job.
    n_rows, n_features : int
        Most rows that take part, and most features that a row can have.

    Raises
    ------
    PlanError
        If `pca.components` is larger.
    """
    size, components = spec.windows.size, spec.pca.components
    if not spec.job.fits or components is None:
        return
    for stride in spec.windows.strides:
        windows = n_windows(spec.windows.reach, stride, _most_rows(spec, n_rows)["train"])
        possible = min(size * n_features, windows - 1)
        if components > possible:
            raise PlanError(
                f"{components:,} components were asked for, but at most {windows:,} training windows (stride {stride}) of "
                f"{size} rows x {n_features:,} features at most have no more than {possible:,}. Lower `pca.components`, or "
                f"leave it empty."
            )


def check_split_sizes(rows: Mapping[str, int], spec: PipelineSpec) -> None:
    """Refuse splits that are too small for one window.

    Raises
    ------
    PlanError
        If a split that was asked for has fewer rows than a window, or, in a job without windows, none for training.
    """
    if not spec.windows.strides:
        if not rows["train"]:
            raise PlanError("The train split has no rows; give it a larger part of them (`split.fractions`).")
        return
    for split, fraction in zip(SPLITS, spec.split.fractions, strict=True):
        if fraction and rows[split] < spec.windows.reach:
            raise PlanError(_too_small(f"The {split} split has {rows[split]:,}", sum(rows.values()), spec))


def check_series(series: Mapping[str, SeriesSpan], spec: PipelineSpec) -> None:
    """Refuse a training split none of whose series has as many rows as a window.

    Raises
    ------
    PlanError
        If there is no window to fit a PCA on.
    """
    if not series or not spec.windows.strides or series["train"].longest >= spec.windows.reach:
        return
    train = series["train"]
    raise PlanError(
        f"Windows need {spec.windows.reach:,} rows of one series, and the longest of the {train.n_series:,} training series "
        f"has {train.longest:,}. Lower `windows.size`, make no windows (`windows.strides: []`), or check that "
        f"`columns.entity` ({', '.join(spec.columns.entities) or 'not set'}) names the series{_or_gap(spec)}."
    )


def check_neighbours(keys: Mapping[str, Runs], spec: PipelineSpec) -> None:
    """Refuse windows over a hash split whose keys change more often than a window is long.

    Parameters
    ----------
    keys : mapping of str to Runs
        Runs of rows of equal keys, in each split's order.

    Raises
    ------
    PlanError
        If they do: most windows would hold rows of different keys, and leap over those of other splits.
    """
    size = spec.windows.size
    for split, runs in keys.items():
        if runs.n_runs * size > runs.n_rows:
            raise PlanError(
                f"Windows of {size} rows need neighbouring rows, and in the {split} split {', '.join(spec.split_keys)} "
                f"(`split.keys`) changes after {runs.n_rows / runs.n_runs:.1f} rows on average: the windows would mix series. "
                f"Name what tells the series apart in `columns.entity`, "
                f"set `split.method: temporal` or `sequential`, or make no windows (`windows.strides: []`)."
            )


def _or_gap(spec: PipelineSpec) -> str:
    return f" and `windows.max_gap` ({spec.windows.max_gap}) is not too short" if spec.windows.max_gap else ""


def _most_rows(spec: PipelineSpec, n_rows: int) -> dict[str, int]:
    """Largest number of rows of each split: rows of equal time go to the later split, rows of equal keys to any."""
    first, second = spec.split.ranks(n_rows)
    if spec.split_method == "sequential":
        return dict(zip(SPLITS, (first, second - first, n_rows - second), strict=True))
    if spec.split_method == "temporal":
        return dict(zip(SPLITS, (first, second, n_rows), strict=True))
    return dict.fromkeys(SPLITS, n_rows)


def _too_small(found: str, n_rows: int, spec: PipelineSpec) -> str:
    return (
        f"{found} rows of {n_rows:,}, fewer than one window of {spec.windows.reach:,} needs. Lower `windows.size`, or give "
        f"that split a larger part of the rows (`split.fractions`{_TOGETHER.get(spec.split_method, '')})."
    )
