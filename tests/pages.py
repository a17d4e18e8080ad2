"""Facts of a small run by hand, for the tests of its page, and the rows that the page's scripts make of a chart's data."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from emberharmony.features.kinds.registry import kind_named
from emberharmony.features.specs import FeatureSpecs
from emberharmony.io.manifest import WindowCounts
from emberharmony.page.facts import Facts, Sample, StageWork
from emberharmony.pca import PCASpec, WindowPCA
from emberharmony.stats.categories import CategoryCounts, TopCategories
from emberharmony.stats.window_gram import WindowGram
from tests.stored import manifest_of

SPLITS = ("train", "validation", "test")
HOSTILE = ("</script><b>", "a\"b'c", "\u202eevil", "a\u2028b")
"""Names and categories that would break out of a page that does not escape them."""


def rows_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a chart's data, as emberharmony/page/report.js makes them."""
    if "axes" not in data:
        columns = ([c["names"][i] for i in c["codes"]] if isinstance(c, dict) else c for c in data["columns"])
        return [dict(zip(data["fields"], row, strict=True)) for row in zip(*columns, strict=True)]
    places = []
    for field, values in data["axes"]:
        if isinstance(values, dict):
            step = (values["high"] - values["low"]) / values["n"]
            bins = ((values["low"] + i * step, values["low"] + (i + 1) * step) for i in range(values["n"]))
            places.append([{field: low, f"{field}_end": high} for low, high in bins])
        else:
            places.append([{field: value} for value in values])
    cells = ({k: v for place in cell for k, v in place.items()} for cell in itertools.product(*places))
    found = zip(cells, data["values"], strict=True)
    return [cell | {data["field"]: value * data["step"]} for cell, value in found]


def facts_by_hand(*, n_rows: int = 400, n_numbers: int = 2, strides: tuple[int, ...] = (1, 2), size: int = 3) -> Facts:
    """Facts of a run over numbers and one column of categories, all with hostile names."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(n_numbers, n_rows)) * np.arange(1, n_numbers + 1)[:, None]
    numbers[0, ::7] = np.nan
    texts = pa.chunked_array([pa.array(rng.choice([*HOSTILE, None], n_rows).tolist(), pa.string())])
    n_train = n_rows * 8 // 10
    columns, baselines, blocks = [], {}, []
    values = {f"x{i}{HOSTILE[i % 4]}": pa.chunked_array([pa.array(x, from_pandas=True)]) for i, x in enumerate(numbers)}
    for name, column in {**values, "colour <i>": texts}.items():
        kind = kind_named("categorical" if column is texts else "numeric")
        train, specs = column.slice(0, n_train), FeatureSpecs()
        profile = kind.profile(train, specs)
        top = TopCategories(tuple(CategoryCounts.of(train).top(100))) if column is texts else TopCategories()
        fitted = kind.fit(name, profile, specs, top)
        columns.append(fitted)
        baselines[name] = kind.baseline(profile, fitted, top)
        blocks.append(kind.transform(column, fitted))
    block = np.concatenate(blocks)
    splits = np.repeat([0, 1, 2], [n_train, n_rows // 10, n_rows - n_train - n_rows // 10])
    times = 1_700_000_000.0 + 3600.0 * np.arange(n_rows)
    pcas, windows = {}, {}
    for stride in strides:
        gram = WindowGram.of(block[:, :n_train], start=0, size=size, stride=stride)
        pcas[stride] = WindowPCA.fit(gram, PCASpec(components=4))
        starts = np.arange(0, n_rows - size + 1, stride)
        scores = pcas[stride].project(block, starts)
        windows[stride] = Sample(splits[starts], times[starts + size - 1], scores[:2])
    counts = {
        str(stride): WindowCounts({"train": 10, "validation": 2, "test": 2}, 4, tuple(pca.explained_variance_ratio.tolist()))
        for stride, pca in pcas.items()
    }
    manifest = replace(
        manifest_of("0123"),
        source_rows=n_rows,
        rows={"train": n_train, "validation": n_rows // 10, "test": n_rows - n_train - n_rows // 10},
        features=tuple(name for column in columns for name in column.features),
        features_by_kind={"numeric": n_numbers, "categorical": 6},
        dropped={HOSTILE[0]: "constant </style>"},
        spec={"kind": "extract", "split": {"keys": []}, "windows": {"size": size}},
        strides=counts,
    )
    work = StageWork("profile", np.arange(5), np.full(5, 100), np.array([1.0, 2.0, 1.0, 1.0, 5.0]), ("numpy:cpu on a",) * 5)
    sample = Sample(splits, times, block)
    fitted = {"columns": tuple(columns), "baselines": baselines, "pcas": pcas}
    memory = {"planned_bytes": 2**30, "peak_bytes": 2**29}
    return Facts(manifest, HOSTILE[0], "out", **fitted, rows=sample, windows=windows, work=(work,), **memory)
