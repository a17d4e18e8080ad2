"""A profile by query is refused when planning, wherever it cannot equal the profile of the rows."""

import pyarrow as pa
import pytest

from emberharmony.errors import PlanError
from emberharmony.features.columns import ColumnSpec, assign_roles
from emberharmony.features.specs import CyclicalSpec, NumberSpec
from emberharmony.io.sources.bigquery.spec import BigQuerySourceSpec
from emberharmony.io.sources.parquet.source import ParquetSource
from emberharmony.io.sources.parquet.spec import ParquetSourceSpec
from emberharmony.io.sources.registry import open_source
from emberharmony.pipeline.pushdown import check_profile
from emberharmony.pipeline.spec import PipelineSpec
from emberharmony.splits import SplitSpec

SCHEMA = pa.schema([("t", pa.timestamp("us")), ("x", pa.float64()), ("color", pa.string())])
BY_TIME = ColumnSpec(time="t")
BY_QUERY = BigQuerySourceSpec(table="my-project.raw.flights", key="x", profile="query")


def check(spec, source=None):
    check_profile(spec, source or open_source(spec.source), SCHEMA, assign_roles(SCHEMA, spec.columns))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (PipelineSpec(BY_QUERY), r"needs `split\.method: temporal`; this job's is sequential"),
        (PipelineSpec(BY_QUERY, BY_TIME, split=SplitSpec(method="hash", keys=("color",))), "this job's is hash"),
        (PipelineSpec(BY_QUERY, BY_TIME, datetime=CyclicalSpec(epoch=True)), r"`datetime\.epoch`"),
        (PipelineSpec(BY_QUERY, BY_TIME, numbers=NumberSpec(scale="all")), r"`numbers\.scale: all`"),
        (PipelineSpec(BY_QUERY, ColumnSpec(time="t", categorical=("x",))), "cannot profile 'x': BigQuery writes fractions"),
    ],
    ids=["sequential", "hash", "epoch", "scale", "float categories"],
)
def test_what_a_query_cannot_tell_is_refused(spec, words):
    with pytest.raises(PlanError, match=rf"(?s){words}.* Set `source\.profile: stream`\."):
        check(spec)


def test_a_source_that_runs_no_queries_is_refused():
    with pytest.raises(PlanError, match=r"my-project\.raw\.flights cannot\. Set `source\.profile: stream`"):
        check(PipelineSpec(BY_QUERY, BY_TIME), ParquetSource(ParquetSourceSpec("t.parquet")))


def test_what_can_be_is_planned():
    check(PipelineSpec(BY_QUERY, BY_TIME))
    check(PipelineSpec(ParquetSourceSpec("t.parquet"), numbers=NumberSpec(scale="all")))
