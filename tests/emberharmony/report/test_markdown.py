"""Names in Markdown tables stay in their cell."""

import numpy as np
import pyarrow as pa

from emberharmony.report.plan_report import MAX_TYPE_CHARS, plan_report
from emberharmony.report.summary import summary_markdown
from flows.config.job import parse_job
from tests.jobs import run_small, small_table, write_table


def test_a_name_with_a_bar_stays_in_its_cell(tmp_path):
    table = small_table(200).append_column("a|b\n| c", pa.array(np.ones(200)))
    fields = pa.list_(pa.struct([(f"field {i}", pa.int8()) for i in range(500)]))
    table = table.append_column("nested", pa.array([None] * 200, fields))
    source = write_table(table, tmp_path / "t.parquet")
    job = {"source": {"path": str(source)}, "sink": {"path": str(tmp_path / "out")}, "columns": {"time": "t"}}
    report = plan_report(parse_job(job))
    assert max(len(column.type) for column in report.columns) == MAX_TYPE_CHARS - 1
    lines = report.markdown().splitlines()
    header = lines.index("| column | type | role | |")
    assert all(line.count("|") == 3 for line in lines[:header] if line)
    assert all(line.count("|") == 5 for line in lines[header : lines.index("", header)])
    assert lines[-1].startswith("* `datetime.cycle: inclusive` puts 23:00 on 00:00")
    assert "| a&#124;b &#124; c | double | numeric | 1 feature |" in lines
    summary = summary_markdown(run_small(source, tmp_path / "out").outcome).splitlines()
    assert all(line.count("|") == 3 for line in summary)
    assert any("no features from a&#124;b" in line for line in summary)
