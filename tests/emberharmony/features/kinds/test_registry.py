"""Kinds by type and by name; and a kind from outside, in a whole job."""

import os
import subprocess
import sys
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from emberharmony.errors import PlanError
from emberharmony.features.kinds import registry
from emberharmony.features.kinds.numeric import Numeric
from emberharmony.features.kinds.registry import KINDS, kind_named, kind_of, register_kind
from flows.config.job import ApplyJob, parse_job
from flows.run import run
from tests.jobs import small_table, write_table


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        *((t, "numeric") for t in (pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.decimal128(5), pa.decimal256(50))),
        (pa.bool_(), "boolean"),
        *((t, "datetime") for t in (pa.timestamp("ns"), pa.timestamp("s", "UTC"), pa.date32(), pa.date64())),
        *(
            (t, "categorical")
            for t in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()), pa.json_())
        ),
        (pa.dictionary(pa.int8(), pa.int64()), "categorical"),  # as a pandas Categorical of numbers
        (pa.dictionary(pa.int8(), pa.date32()), "datetime"),
        (pa.run_end_encoded(pa.int32(), pa.float32()), "numeric"),
        *((t, "numeric") for t in (pa.time32("s"), pa.time64("ns"), pa.duration("ns"), pa.decimal32(9, 2), pa.decimal64(18))),
        *((t, None) for t in (pa.binary(), pa.large_binary(), pa.binary(4), pa.list_(pa.int8()), pa.null())),
        *((t, None) for t in (pa.binary_view(), pa.uuid(), pa.month_day_nano_interval())),
    ],
    ids=str,
)
def test_kinds(type_, kind):
    assert kind_of(type_) == kind


def test_a_name_is_given_once():
    assert kind_named("numeric") is KINDS["numeric"]
    register_kind(KINDS["numeric"])  # again the same: nothing happens
    with pytest.raises(ValueError, match="A kind of column named 'numeric' is registered already"):
        register_kind(Numeric())


def test_unknown_kinds():
    with pytest.raises(ValueError, match="'numbre' is not a kind of column; the kinds are numeric, boolean"):
        kind_named("numbre")


# ---- a kind from outside -----------------------------------------------------------------------------------------------

UNIT_INTERVAL = '''
from dataclasses import dataclass

import numpy as np

from emberharmony.features.kinds.base import FittedColumn
from emberharmony.features.kinds.numeric import Numeric, numbers


@dataclass(frozen=True)
class FittedShare(FittedColumn):
    """Where the training median lies."""

    median: float


class UnitInterval(Numeric):
    """Shares from 0 to 1: the arc sine of the root, and whether a share is above the training median."""

    name = "unit_interval"
    fitted = FittedShare

    def width(self, specs, *, n_distinct=None):
        return 2

    def fit(self, name, profile, specs, categories):
        return FittedShare(name, self.name, (f"{name}_angle", f"{name}_high"), profile.quantiles.median())

    def transform(self, values, fitted):
        x = numbers(values)
        x = np.clip(np.where(np.isfinite(x), x, fitted.median), 0, 1)
        return np.stack([np.arcsin(np.sqrt(x)), x > fitted.median]).astype(np.float32)

    def describe(self, fitted):
        return [f"Arc sine of the root of {fitted.name}", f"1 where {fitted.name} is above {fitted.median}"]
'''


@pytest.fixture
def outside(monkeypatch):
    """The kind, in the module of a package that is not this one; forgotten after the test."""
    monkeypatch.setattr(registry, "_kinds", kinds := dict(registry._kinds))
    monkeypatch.setitem(sys.modules, "shares", module := ModuleType("shares"))
    exec(UNIT_INTERVAL, module.__dict__)
    register_kind(module.UnitInterval())
    assert "unit_interval" in kinds
    registry._reader.cache_clear()
    return module


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    share = np.where(rng.random(400) < 0.1, np.nan, rng.uniform(-0.1, 1.1, 400))
    return small_table(400).append_column("share", pa.array(share, from_pandas=True))


def fields(source, sink, **more):
    runtime = {"workers": 1, "backend": "numpy", "engine": "none", "chunk_rows": 150}
    return {"source": {"path": str(source)}, "sink": {"path": str(sink)}, "runtime": runtime} | more


COLUMNS = {"time": "t", "kinds": {"share": "unit_interval"}}


def assert_shares(sink, share, train):
    """Against the formula, row by row."""
    rows = pq.read_table(sink / "features")
    median = np.nanmedian(share[train])
    x = np.where(np.isnan(share), median, share)[rows["row_number"].to_numpy()]
    np.testing.assert_allclose(rows["share_angle"], np.arcsin(np.sqrt(np.clip(x, 0, 1))), rtol=1e-6)
    np.testing.assert_array_equal(rows["share_high"].to_numpy() == 1, np.clip(x, 0, 1) > median)


def test_a_whole_job_with_a_kind_from_outside(outside, table, tmp_path):
    source, share = write_table(table, tmp_path / "t.parquet"), table["share"].to_numpy()
    run(parse_job(fields(source, tmp_path / "run", columns=COLUMNS)))
    train = pq.read_table(tmp_path / "run/features/split=train")["row_number"].to_numpy()
    assert len(train) == 320
    assert_shares(tmp_path / "run", share, train)

    later = share[::-1].copy()
    rows = table.set_column(table.column_names.index("share"), "share", pa.array(later, from_pandas=True))
    source = write_table(rows, tmp_path / "later.parquet")
    done = run(parse_job(fields(source, tmp_path / "applied", state=str(tmp_path / "run")), model=ApplyJob))
    assert done.manifest.drift["share"]["psi"] < 0.25
    rows = pq.read_table(tmp_path / "applied/features")
    x = np.where(np.isnan(later), np.nanmedian(share[train]), later)[rows["row_number"].to_numpy()]
    np.testing.assert_allclose(rows["share_angle"], np.arcsin(np.sqrt(np.clip(x, 0, 1))), rtol=1e-6)


def test_another_process_knows_the_kind_by_its_entry_point(table, tmp_path):
    package = tmp_path / "installed"
    declared = package / "shares-1.0.dist-info"
    declared.mkdir(parents=True)
    (package / "shares.py").write_text(UNIT_INTERVAL)
    (declared / "METADATA").write_text("Metadata-Version: 2.1\nName: shares\nVersion: 1.0\n")
    (declared / "entry_points.txt").write_text("[emberharmony.kinds]\nunit_interval = shares:UnitInterval\n")
    source = write_table(table, tmp_path / "t.parquet")
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(fields(source, tmp_path / "run", columns=COLUMNS)))
    path = os.pathsep.join([str(package), *sys.path])
    command = [sys.executable, "-c", "from flows.cli.app import main; main()", "run", str(job)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True, timeout=300)
    train = pq.read_table(tmp_path / "run/features/split=train")["row_number"].to_numpy()
    assert_shares(tmp_path / "run", table["share"].to_numpy(), train)


def test_a_job_with_an_unknown_kind_names_the_known_ones(tmp_path):
    with pytest.raises(PlanError, match="'unit' is not a kind of column; the kinds are numeric, boolean"):
        parse_job(fields(tmp_path / "t.parquet", tmp_path / "run", columns={"kinds": {"share": "unit"}}))
