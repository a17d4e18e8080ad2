"""Propose bounds that the training rows of a fitted state, and slices that were good, meet with a margin."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from emberharmony.expectations.checks import Figures
from emberharmony.features.drift import MAJOR_PSI, Baseline
from emberharmony.features.kinds.registry import kind_named
from emberharmony.messages import printable, yaml_text

RANGE_MARGIN: Final = 0.1
"""Part of the training range by which a range is widened on either side."""
FACTOR: Final = 1.5
"""How many times a share or an index may be what it was."""
LEAST_SHARE: Final = 0.01
"""Margin of a share beside that."""

Bound = float | None


def proposed_bounds(kind: str, found: Figures) -> dict[str, float]:
    """Return bounds for a column, from the figures of its training rows.

    Parameters
    ----------
    kind : str
        The column's kind.
    found : mapping of str to float
        Its figures, as `ColumnKind.figures` returns them.

    Returns
    -------
    dict of str to float
        By key of ``expect.columns``. A range is widened by a tenth on either side, but not below 0 if nothing was negative.
        1.5 times as many values may be missing, or new, as were, and 0.01 of all more. An index may be 1.5 times as large, if
        that is more than is usual.

    Examples
    --------
    >>> proposed_bounds("numeric", {"rows": 900, "null_share": 0.02, "min": 1.0, "max": 312.0})
    {'min': 0.0, 'max': 345.0, 'max_null_share': 0.04}
    """
    bounds = {key: _PROPOSED[key](found) for key in kind_named(kind).bounds if key in _PROPOSED}
    return {key: bound for key, bound in bounds.items() if bound is not None}


def widest(figures: Sequence[Figures]) -> Figures:
    """Return the figures of a column that are furthest out, of its training rows and of slices.

    The index of a slice counts only if it has rows enough to judge it.

    Examples
    --------
    >>> day = {"rows": 90, "null_share": 0.2, "min": 2, "max": 9, "psi": 0.4, "psi_by_chance": 0.1}
    >>> widest([{"rows": 900, "null_share": 0.1, "min": 1, "max": 8}, day, day | {"psi": 3.0, "psi_by_chance": 0.3}])
    {'rows': 900, 'null_share': 0.2, 'min': 1, 'max': 9, 'psi': 0.4}
    """
    found: dict[str, float] = {}
    for of_rows in figures:
        is_few = of_rows.get("psi_by_chance", 0.0) > MAJOR_PSI
        for name in ("rows", "null_share", "min", "max", "other_share", "other_share_change", "psi"):
            if name in of_rows and not (name == "psi" and is_few):
                furthest = min if name == "min" else max
                found[name] = furthest(found.get(name, of_rows[name]), of_rows[name])
    return found


def proposed_section(
    baselines: Mapping[str, Baseline],
    kinds: Mapping[str, str],
    *,
    where: str,
    slices: Sequence[Mapping[str, Figures]] = (),
    slices_at: str = "",
) -> str:
    """Return a section `expect` in YAML, with comments, to be pasted into a job that applies the state.

    Parameters
    ----------
    baselines : mapping of str to Baseline
        Counts of the training rows, by column.
    kinds : mapping of str to str
        Kind of each of these columns.
    where : str
        Where the state is.
    slices : sequence of mapping, optional
        Figures of the columns in slices that were good, as in `Manifest.drift`.
    slices_at : str, optional
        Where these slices are.
    """
    n_rows = max((baseline.counts.n_rows for baseline in baselines.values()), default=0)
    rows = f"{n_rows:,} training rows of {printable(where)}"
    of_slices = f" and the last {len(slices):,} slices of {printable(slices_at)}" if slices else ""
    lines = [
        f"# Proposed from the {rows}{of_slices}, which meet these bounds with a margin.",
        "# Paste it into a job that applies the state; tighten what you know better, and drop what does not matter.",
        "expect:",
        "  rows:",
        "    min: 1",
        "    # of_median: [0.5, 2.0]  # against the last 14 slices, in a job that is run slice by slice",
        "  all:",
        f"    max_psi: {MAJOR_PSI:g}  # commonly called a major shift; 0.1 a small one",
        "    on_failure: warn  # or fail: then nothing is published; a column may set its own",
        "  columns:",
        *_columns(baselines, kinds, slices),
    ]
    return "\n".join(lines)


def _columns(
    baselines: Mapping[str, Baseline], kinds: Mapping[str, str], slices: Sequence[Mapping[str, Figures]]
) -> Iterator[str]:
    for name, baseline in baselines.items():
        of_training = kind_named(kinds[name]).figures(baseline.counts)
        found = widest([of_training, *(of_slice[name] for of_slice in slices if name in of_slice)])
        bounds = ", ".join(f"{key}: {_yaml_number(bound)}" for key, bound in proposed_bounds(kinds[name], found).items())
        yield f"    {yaml_text(name)}: {{{bounds}}}  # {_described(kinds[name], found)}"


def _described(kind: str, found: Figures) -> str:
    texts = [printable(kind)]
    if "min" in found:
        texts.append(f"{found['min']:.6g} to {found['max']:.6g}")
    texts.append(f"{found['null_share']:.3g} missing")
    if found.get("other_share"):
        texts.append(f"{found['other_share']:.3g} outside the vocabulary")
    if "psi" in found:
        texts.append(f"PSI up to {found['psi']:.3g}")
    return ", ".join(texts)


def _least(found: Figures) -> Bound:
    least = _widened(found, -1)
    return 0.0 if least is not None and found["min"] >= 0 > least else least


def _largest(found: Figures) -> Bound:
    largest = _widened(found, 1)
    return 0.0 if largest is not None and found["max"] <= 0 < largest else largest


def _widened(found: Figures, side: int) -> Bound:
    """An end of the range and a margin, rounded away from the range to about a hundredth of it."""
    if "min" not in found:
        return None
    end, length = found["max" if side > 0 else "min"], found["max"] - found["min"]
    length = length or abs(end) or 1.0
    if not math.isfinite(length * (1 + 2 * RANGE_MARGIN)):
        return None
    digits = math.floor(math.log10(length)) - 1
    step = 10.0**digits / 2
    rounded = math.ceil(side * end / step + RANGE_MARGIN * length / step) * step * side
    return round(rounded, 1 - digits) if math.isfinite(rounded) else None


def _null_share(found: Figures) -> Bound:
    return _share(found["null_share"])


def _new_share(found: Figures) -> Bound:
    return _share(max(found.get("other_share_change", 0.0), 0.0))


def _share(share: float) -> Bound:
    bound = math.ceil(100 * min(FACTOR * share + LEAST_SHARE, (1 + share) / 2) - 1e-9) / 100
    return bound if bound < 1 else None


def _psi(found: Figures) -> Bound:
    bound = math.ceil(100 * FACTOR * found.get("psi", 0.0)) / 100
    return bound if bound > MAJOR_PSI else None


_PROPOSED: Final[Mapping[str, Callable[[Figures], Bound]]] = {
    "min": _least,
    "max": _largest,
    "max_null_share": _null_share,
    "max_new_share": _new_share,
    "max_psi": _psi,
}
"""An index as is usual is bounded for all columns at once."""


def _yaml_number(value: float) -> str:
    """A number that YAML reads as one: it takes 1e+300 for text, and 1.0e+300 for a number."""
    text = repr(float(value)).removesuffix(".0")
    mantissa, exponent, power = text.partition("e")
    return f"{mantissa}.0e{power}" if exponent and "." not in mantissa else text
