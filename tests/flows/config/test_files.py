"""Wrong job files and wrong values: whatever they hold, the answer is a job or one short error, at once."""

from __future__ import annotations

import copy
import datetime as dt
import os
import time

import pytest
import yaml

from emberharmony.errors import PlanError
from emberharmony.io.store.address import child_address
from emberharmony.io.store.opening import open_files
from flows.config.files import MAX_BYTES, read_job_file
from flows.config.job import ApplyJob, FitJob, Job, load_any, load_job, parse_job

BASE = "source: {path: a.parquet}\nsink: {path: out}\n"
PARQUET = {"source": {"path": "a.parquet"}, "sink": {"path": "out"}}
BIGQUERY = {
    "source": {"type": "bigquery", "query": "SELECT 1", "parameters": {"a": 1}},
    "sink": {"type": "bigquery", "dataset": "project.d", "path": "out", "labels": {"a": "b"}},
    "columns": {"time": "t", "target": "y", "drop": ["a"]},
    "split": {"method": "hash", "keys": ["k"]},
    "runtime": {"engine": "pools", "pools": {"cpu": 1}, "address": None},
}
STATE = {**PARQUET, "state": "fitted"}
ODD = [
    *(None, True, False, 0, -1, 3, 10**30, -(10**30), 2**63, 0.5, 1e300, float("nan"), float("inf"), -float("inf")),
    *("", " ", "x", "x" * 1000, "\0", "a\x1b[2Jb", "~nosuchuser/x", "gs://b/x", "5", "yes", "P7D", "\udc80"),
    *([], {}, [[]], [None], [1, 1], ["a", "a"], ["x"] * 5000, {"a": {"b": [1]}}, {1: 2}, {"x" * 1000: 1}, [[[[[[[]]]]]]]),
    *(b"bytes", dt.date(2026, 1, 31), dt.datetime(2026, 1, 31, tzinfo=dt.UTC), object()),
]


def places(section, at=()):
    """Every key of a job: of sections, values and lists."""
    for key, value in section.items():
        yield (*at, key)
        if isinstance(value, dict):
            yield from places(value, (*at, key))


def changed(job, at, value):
    job = copy.deepcopy(job)
    section = job
    for key in at[:-1]:
        section = section[key]
    section[at[-1]] = value
    return job


def assert_job_or_refusal(make):
    """Neither another error than the user's own, nor a long one, nor a long time."""
    began = time.process_time()
    try:
        result = make()
    except PlanError as error:
        result = str(error)
    assert isinstance(result, Job | ApplyJob) or 10 < len(result) < 2_000
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("base", "model"), [(PARQUET, Job), (BIGQUERY, Job), (STATE, ApplyJob)], ids=["parquet", "bigquery", "apply"]
)
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
def test_any_value_anywhere(base, model, odd):
    whole = parse_job(base, model=model).model_dump(mode="json")
    everywhere = [*places(whole), ("source", "unknown"), ("unknown",), ("parquet",), ("bigquery",)]
    assert len(everywhere) > 20
    for at in everywhere:
        wrong = changed(whole, at, odd)
        assert_job_or_refusal(lambda wrong=wrong: parse_job(wrong, model=model))


def of_kind(kind):
    """Every key of a job whose default, or value here, is of one kind."""
    whole = parse_job(BIGQUERY).model_dump(mode="json")
    for at in places(whole):
        value = whole
        for key in at:
            value = value[key]
        if type(value) is kind and at[1:2] != ("parameters",):
            yield whole, at


@pytest.mark.parametrize(
    ("kind", "others"),
    [
        (int, [True, False, "5", "yes", 5.0, 5.5, float("nan"), float("inf"), "", dt.date(2026, 1, 1)]),
        (float, [True, False, "0.5", "yes", float("nan"), float("inf"), -float("inf"), "", dt.date(2026, 1, 1)]),
        (bool, [0, 1, "yes", "true", 1.0, "", dt.date(2026, 1, 1)]),
        (str, [True, False, 5, 0.5, dt.date(2026, 1, 1), ["a"], b"a"]),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_no_value_becomes_one_of_another_kind(kind, others):
    found = [(job, at) for job, at in of_kind(kind) if at != ("split", "gap")]  # a duration: seconds are one
    assert len(found) >= 2
    for job, at in found:
        for other in others:
            with pytest.raises(PlanError):
                parse_job(changed(job, at, other))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("windows: {size: yes}", "windows.size is True: it takes an integer"),
        ("windows: {strides: [1, true]}", "windows.strides.1 is True: it takes an integer"),
        ("columns: {target: no}", "columns.target is False: it takes a string; YAML reads yes, no, on and off as true"),
        (
            "columns: {drop: [2026-01-31]}",
            "columns.drop.0 is 2026-01-31: it takes a string; YAML reads it as a date: where it is a name",
        ),
        (
            "columns: {time: 5}",
            "columns.time is 5: it takes a string; YAML reads it as a number: where it is a name, quote it as it is written",
        ),
        ("datetime: {epoch: 1}", "datetime.epoch is 1: it takes true or false"),
        ("runtime: {max_memory_gb: .inf}", "runtime.max_memory_gb is inf: it takes a finite number"),
        ("runtime: {max_memory_gb: .nan}", "runtime.max_memory_gb is nan: it takes a finite number"),
        ("runtime: {max_memory_gb: 1e300}", "runtime.max_memory_gb is 1e+300: input should be less than or equal to 100000"),
        (
            "runtime: {chunk_rows: 1000000000000000000000}",
            "runtime.chunk_rows is 1000000000000000000000: input should be less",
        ),
        ("split: {method: hash, keys: [a, a]}", "split: `keys` names 'a' twice."),
        ("split: {method: hash, keys: ['']}", "split: `keys` contains an empty column name."),
        ("split: {keys: [a]}", "split: `keys` are the columns of a hash split"),
        ("parquet: {path: a}", "parquet is not a known key. Allowed: source, sink"),
        ("bigquery: 5", "bigquery is not a known key."),
        ("size: 5", "size is not a known key. It belongs to `windows`."),
        (
            "runtime: {max_categories: 5}",
            "max_categories is not a known key. It belongs to `categories`.",
        ),
        ("pca: {windows: {size: 5}}", "pca.windows is not a known key. `windows` is a section of its own"),
        ("path: a", "path is not a known key. It belongs to `source` or `sink`."),
        (f"{'x' * 900}: 5", "xxx...xxx"),
        ("\n".join(f"unknown_{i}: 1" for i in range(5000)), "and 4,995 more errors"),
        ("windows: {size: &a [*a]}", "line 3, column 21: an alias contains itself"),
        ("columns: {time: !!timestamp x}", "line 3, column 17: 'x' is no timestamp"),
        ("columns: {time: 2026-13-45}", "'2026-13-45' is no timestamp"),
        ("columns: {time: !!python/name:os.system x}", "could not determine a constructor"),
        ("windows: {size: !!int ''}", "'' is no int"),
        (f"windows: {{size: {'9' * 5000}}}", "is no int"),
        (f"windows: {{size: 0x{'f' * 5000}}}", "windows.size is a int with too many digits: "),
        ("no: 5", "line 3, column 1: keys should be strings, and YAML reads no otherwise; quote it"),
        ("windows: {\x00size: 5}", "binary file"),
        ("windows: {\x1b: 5}", "special characters are not allowed"),
        ("\twindows: 5", "line 3, column 1"),
        ("--- a\n--- b", "line 3"),
        ("%YAML 9", "is not valid YAML"),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, message):
    (tmp_path / "job.yaml").write_text(BASE + text)
    with pytest.raises(PlanError) as refused:
        load_job(tmp_path / "job.yaml")
    assert message in str(refused.value)
    assert str(tmp_path / "job.yaml") in str(refused.value)
    assert len(str(refused.value)) < 2_000


def bomb(levels, item):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} {item.format(*([f'*a{i - 1}'] * 9))}" for i in range(1, levels)]
    return "\n".join(lines)


CONTENTS = {
    "utf-16": (BASE.encode("utf-16"), "in UTF-16. Save it as UTF-8"),
    "utf-16 without a mark": (BASE.encode("utf-16-le"), "binary file"),
    "latin-1": (f"{BASE}columns: {{time: Größe}}".encode("latin-1"), "line 3 holds the byte 0xf6. Save it as UTF-8"),
    "binary": (bytes(range(256)), "binary file"),
    "Parquet": (b"PAR1\x15\x04\x15\x10", "not|binary"),
    "bomb in a list": (bomb(10, "[{}, {}, {}, {}, {}, {}, {}, {}, {}]").encode(), "more than 50,000 values"),
    "bomb of merges": (
        "\n".join(["a0: &a0 {x: 1, y: 2}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 10))]),
        "more than 50,000 values",
    ),
    "half a million values": ("windows: [" + "x," * 500_000 + "]", "more than 50,000 values"),
    "1,000 lists": (b"windows: " + b"[" * 1000 + b"]" * 1000, "more than 20 levels"),
    "1,000 sections": (b"a: {" * 1000 + b"}" * 1000, "more than 20 levels"),
    "1,000 indents": ("\n".join(" " * i + "a:" for i in range(1000)), "more than 20 levels"),
    "large": (b"#" * (MAX_BYTES + 1), "larger than 1,048,576 bytes"),
    "empty": (b"", "has to hold the sections of a job"),
    "a text": (b"hello", "has to hold the sections of a job"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_files_that_are_no_job(tmp_path, name):
    content, message = CONTENTS[name]
    path = tmp_path / "job.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PlanError, match=message) as refused:
        load_job(path)
    assert len(str(refused.value)) < 2_000


def test_a_mark_of_utf_8_is_no_harm(tmp_path):
    (tmp_path / "job.yaml").write_bytes(BASE.encode("utf-8-sig"))
    assert load_job(tmp_path / "job.yaml") == parse_job(PARQUET)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "link to nothing", "NUL"])
def test_paths_that_are_no_files(tmp_path, kind):
    path = tmp_path / "job.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to nothing":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path = type(path)("/dev/zero" if kind == "device" else "a\0b")
    with pytest.raises(PlanError, match="cannot be read: "):
        load_job(path)


def test_anchors_and_merge_keys(tmp_path):
    """Sections may share what they have in common; a section's own keys win."""
    text = """
source: {type: bigquery, table: project-1.d.t, connection: &common {project: project-1, location: EU}}
sink:
  type: bigquery
  dataset: d
  path: out
  connection: &sink {<<: *common, location: US}
columns: {drop: &names [a, b], passthrough: []}
"""
    (tmp_path / "job.yaml").write_text(text)
    job = load_job(tmp_path / "job.yaml")
    assert (job.source.connection.location, job.sink.connection.location) == ("EU", "US")
    assert job.sink.connection.project == "project-1"
    (tmp_path / "list.yaml").write_text("a: &a {x: 1, y: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: [*b, {z: 3}], x: 4}")
    expected = {"a": {"x": 1, "y": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 4, "y": 2, "z": 3}}
    assert read_job_file(tmp_path / "list.yaml") == yaml.safe_load((tmp_path / "list.yaml").read_text()) == expected


@pytest.mark.parametrize(
    ("text", "value"), [("1e-1", 0.1), ("1E-1", 0.1), ("0.1", 0.1), ("1", 1.0), (".5", 0.5), ("+5e-1", 0.5)]
)
def test_numbers_as_people_write_them(tmp_path, text, value):
    """YAML 1.1 takes 1e-1 for a text."""
    (tmp_path / "job.yaml").write_text(f"{BASE}runtime: {{parity_check: {text}}}")
    assert load_job(tmp_path / "job.yaml").runtime.parity_check == value


ODD_OVERRIDES = [
    *("=", "=5", "", "windows", "windows.=5", ".size=5", "a..b=1", "windows..size=5", "win dows.size=5", "windows.si ze=5"),
    *("source=5", "sink=", "sink=[]", "source.path=5", "source.path=[a]", "source.type=5", "source.type=[a]", "windows=5"),
    *(
        "runtime.engine={a: b}",
        "windows.size.x=5",
        "windows.size=&a [*a]",
        "windows.size=2026-13-45",
        "columns.drop=[",
        "x" * 5000,
    ),
    *("windows.size=" + "[" * 500, "columns.time=\0", "columns.time='\\ud800'", "\0=5", "state=x", "runtime.workers=1e300"),
    *("pca.components=1e30", "parquet=1", "source.parquet=1", "source.bigquery.table=1", "columns.time=!!binary x", "5=5"),
]


@pytest.mark.parametrize("override", ODD_OVERRIDES, ids=lambda override: repr(override)[:30])
def test_odd_overrides(tmp_path, override):
    (tmp_path / "job.yaml").write_text(BASE)
    assert_job_or_refusal(lambda: load_job(tmp_path / "job.yaml", [override]))
    assert_job_or_refusal(lambda: load_any(tmp_path / "job.yaml", [override]))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("a..b=1", "--set takes section.key=value"),
        (".size=5", "--set takes section.key=value"),
        ("source=5", "source is 5: it is a section of path, type, columns"),
        ("sink=", "sink is None: "),
        ("parquet=1", "parquet is not a known key"),
        ("source.parquet=1", "source.parquet is not a known key. Did you mean 'path'? Allowed: path, type, columns"),
        ("windows.size=&a [*a]", "an alias contains itself"),
        ("win dows.size=5", "win dows is not a known key. Did you mean 'windows'?"),
    ],
)
def test_odd_overrides_are_explained(tmp_path, override, message):
    (tmp_path / "job.yaml").write_text(BASE)
    with pytest.raises(PlanError) as refused:
        load_job(tmp_path / "job.yaml", [override])
    assert message in str(refused.value)


@pytest.mark.parametrize("model", [Job, FitJob])
def test_a_job_of_apply_names_its_command(tmp_path, model):
    (tmp_path / "job.yaml").write_text(f"{BASE}state: fitted\n")
    with pytest.raises(PlanError, match=rf"not a job of `emberharmony {model.command}`\. Run: emberharmony apply .*job\.yaml"):
        load_job(tmp_path / "job.yaml", (), model)
    assert load_job(tmp_path / "job.yaml", (), ApplyJob).state == "fitted"


def test_a_job_of_run_names_its_command(tmp_path):
    (tmp_path / "job.yaml").write_text(f"{BASE}windows: {{size: 4}}\ncolumns: {{time: t}}\n")
    with pytest.raises(
        PlanError, match=r"has windows, columns and|has windows, columns .* a job of `emberharmony run` or `fit`"
    ):
        load_job(tmp_path / "job.yaml", (), ApplyJob)
    with pytest.raises(PlanError, match=r"windows\.size is not a known key\. `apply` takes it from the fitted state; leave"):
        load_job(tmp_path / "job.yaml", ["state=fitted"], ApplyJob)
    (tmp_path / "job.yaml").write_text(BASE)
    with pytest.raises(PlanError, match="state is missing: where a job was published, such as"):
        load_job(tmp_path / "job.yaml", (), ApplyJob)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"path": "a", "columns": ["t", "x", "t"]}, "`columns` names 't' twice"),
        ({"path": "a", "columns": []}, "`columns` is empty"),
        ({"path": "a", "columns": [""]}, "`columns` contains an empty column name"),
        ({"type": "bigquery", "table": "project-1.d.t", "columns": ["t", "t"]}, "`columns` names 't' twice"),
        ({"type": "bigquery", "table": "project-1.d.t", "order_by": ["t", "t"]}, "`order_by` names 't' twice"),
        (
            {"type": "bigquery", "table": "project-1.d.t", "connection": {"service_account_file": ""}},
            "`service_account_file` is",
        ),
    ],
)
def test_a_source_names_each_column_once(source, message):
    with pytest.raises(PlanError, match=message):
        parse_job({"source": source, "sink": {"path": "out"}})


@pytest.mark.xdist_group("stores")
def test_a_job_file_in_a_bucket(s3):
    store, address = open_files(child_address(s3, "jobs")), child_address(s3, "jobs/night.yaml")
    with pytest.raises(PlanError, match=r"^The job file s3://[^?]*/jobs/night.yaml cannot be read: there is no such object"):
        load_job(address)
    store.put("night.yaml", BASE.encode())
    assert load_job(address, ["windows.size=8"]) == parse_job(PARQUET | {"windows": {"size": 8}})
    for content, problem in (
        (b"a: [", "is not valid YAML"),
        (b"#" * (MAX_BYTES + 1), "is larger than"),
        (b"[]", "has to hold"),
    ):
        store.put("night.yaml", content)
        with pytest.raises(PlanError, match=rf"^s3://[^?]*/jobs/night.yaml {problem}"):
            load_job(address)


def test_a_job_file_by_its_url(tmp_path):
    path = tmp_path / "my job.yaml"
    path.write_text(BASE)
    assert load_job(f"file://{path}".replace(" ", "%20")) == parse_job(PARQUET)
    with pytest.raises(PlanError, match=r"^The job file: 'http://host/job.yaml' is an address of another store"):
        load_job("http://host/job.yaml?token=secret")
