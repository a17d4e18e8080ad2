"""The job's file: what is wrong with it is said in words that name the key."""

from datetime import timedelta

import jsonschema
import pytest
from prefect.utilities.callables import parameter_schema

from emberharmony.errors import PlanError
from flows.config.job import ApplyJob, Job, load_job, parse_job
from flows.extract import extract

BASE = "source: {path: a.parquet}\nsink: {path: out}\n"


def load(tmp_path, text, *overrides, base=BASE):
    path = tmp_path / "job.yaml"
    path.write_text(base + text)
    return load_job(path, overrides)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("windoes: {size: 5}", r"windoes is not a known key\. Did you mean 'windows'\?"),
        ("windows: {sice: 5}", r"windows\.sice is not a known key\. Did you mean 'size'\? Allowed: size, strides"),
        ("columns: {targe: y}", r"columns\.targe is not a known key\. Did you mean 'target'"),
        ("runtime: {chunk_row: 5}", r"runtime\.chunk_row is not a known key\. Did you mean 'chunk_rows'"),
        ("windows: {size: 5.5}", r"windows\.size is 5\.5: .*integer"),
        ("windows: {size: null}", r"windows\.size is None: .*integer"),
        ("windows: 5", r"windows is 5: "),
        ("windows: {strides: 3}", r"windows\.strides is 3: it takes a list, such as"),
        ("windows: {strides: [1, x]}", r"windows\.strides\.1 is 'x': .*integer"),
        ("windows: {strides: [1, 1]}", r"windows: Each stride is given once, got \[1, 1\]"),
        ("columns: {time: 5}", r"columns\.time is 5: .*string"),
        ("columns: {drop: a}", r"columns\.drop is 'a': it takes a list, such as"),
        ("columns: {time: a, target: a}", r"columns: Column 'a' is given both as 'time' and as 'target'"),
        ("split: {method: tempral}", r"split\.method is 'tempral'; allowed: .* Did you mean 'temporal'"),
        ("split: {fractions: [0.8, 0.1]}", r"split\.fractions is \[0\.8, 0\.1\]: it takes more than 2 values"),
        ("split: {fractions: [0.8, 0.1, 0.2]}", r"split: .* add up to 1\.1"),
        ("windows: {max_gap: 2x}", r"windows\.max_gap is '2x': it takes a length of time, such as 30s, 90m, 2h"),
        ("windows: {max_gap: 99999999999w}", r"windows\.max_gap is '99999999999w': it takes a length of time"),
        ("windows: {max_gap: 0s}", r"max_gap is a length of time above zero"),
        ("split: {gap: 5 hours}", r"split\.gap is '5 hours': it takes a length of time, such as 30s, 90m, 2h, 1d, PT2H, or"),
        ("split: {keys: [a]}", r"split: `keys` are the columns of a hash split"),
        ("split: {seed: -1}", r"split: seed is a whole number from 0 up, got -1"),
        ("datetime: {time_zone: America}", r"datetime: Time zone 'America' is not known"),
        ("datetime: {cycle: calender}", r"datetime\.cycle is 'calender'; allowed: .* Did you mean 'calendar'"),
        ("numbers: {scale: none}", r"numbers\.scale is 'none'; allowed: 'numeric' or 'all'"),
        ("categories: {max_categories: 0}", r"categories: max_categories is at least 1, got 0"),
        ("pca: {components: 0}", r"pca: components is at least 1, got 0"),
        ("runtime: {engine: thread}", r"runtime\.engine is 'thread'; allowed: .* Did you mean 'threads'"),
        ("runtime: {workers: 0}", r"runtime\.workers is 0: "),
        ("runtime: {max_memory_gb: lots}", r"runtime\.max_memory_gb is 'lots': "),
        ("5: 3", "keys should be strings"),
        ("windows: {size: 5, size: 6}", "key 'size' is given twice"),
        ("pca: {}\npca: {}", "key 'pca' is given twice"),
        ("? [a]\n: 3", "is no name of a key"),
        ("windows: [", "is not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(PlanError, match=message) as refusal:
        load(tmp_path, text)
    assert str(tmp_path / "job.yaml") in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sink: {path: out}", r"source is missing: where the table is, such as"),
        ("source: {path: a}", r"sink is missing: where the result goes, such as"),
        ("source: {}\nsink: {path: out}", r"source\.path is missing: a file or folder"),
        ("source:\nsink: {path: out}", r"source is missing"),
        ("source: {type: csv, path: a}\nsink: {path: out}", r"source\.type is 'csv'; allowed: 'parquet' or 'bigquery'"),
        ("source: {pth: a, path: a}\nsink: {path: out}", r"source\.pth is not a known key\. Did you mean 'path'"),
        ("[1, 2]", r"has to hold the sections of a job \(source, sink, .*not list"),
        ("", r"has to hold the sections of a job"),
    ],
)
def test_a_job_has_a_source_and_a_sink(tmp_path, text, message):
    with pytest.raises(PlanError, match=message):
        load(tmp_path, text, base="")


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    with pytest.raises(PlanError) as refusal:
        load(tmp_path, "windows: {sice: 5}\nruntime: {workers: 0}")
    assert "windows.sice" in str(refusal.value)
    assert "runtime.workers" in str(refusal.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(PlanError, match=r"nowhere\.yaml cannot be read: no such file or directory"):
        load_job(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("override", "section", "name", "value"),
    [
        ("windows.size=8", "windows", "size", 8),
        ("windows.strides=[2, 4]", "windows", "strides", (2, 4)),
        ("columns.time=t", "columns", "time", "t"),
        ("columns.drop=[a, b]", "columns", "drop", ("a", "b")),
        ("split.gap=PT36H", "split", "gap", timedelta(hours=36)),
        ("split.gap=1d 12h", "split", "gap", timedelta(hours=36)),
        ("windows.max_gap=90m", "windows", "max_gap", timedelta(minutes=90)),
        ("windows.max_gap=30s", "windows", "max_gap", timedelta(seconds=30)),
        ("windows.max_gap=5400", "windows", "max_gap", timedelta(minutes=90)),
        ("runtime.max_memory_gb=0.5", "runtime", "max_memory_gb", 0.5),
        ("runtime.chunk_rows=", "runtime", "chunk_rows", None),
        ("source.path=b=c.parquet", "source", "path", "b=c.parquet"),
        (" pca.components =3", "pca", "components", 3),
    ],
)
@pytest.mark.parametrize("text", ["", "windows:\npca:\n", "windows: {size: 3}\n"])
def test_overrides(tmp_path, override, section, name, value, text):
    assert getattr(getattr(load(tmp_path, text, override), section), name) == value


def test_later_overrides_win_and_others_stay(tmp_path):
    job = load(tmp_path, "windows: {size: 3, strides: [7]}", "windows.size=4", "windows.size=6")
    assert (job.windows.size, job.windows.strides) == (6, (7,))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("windows.size", r"--set takes section\.key=value, such as windows\.size=8; got 'windows\.size'"),
        ("=8", "--set takes section.key=value"),
        ("windows.=8", "--set takes section.key=value"),
        ("source.path.x=5", "--set source.path.x=5: 'path' is a value, not a section"),
        ("windows.size=[1,", r"--set windows\.size=\[1,: '\[1,' is not a YAML value"),
        ("windows.sizes=8", r"windows\.sizes is not a known key\. Did you mean 'size'"),
        ("windows.size=big", r"windows\.size is 'big': .*integer"),
        ("sink=5", "sink is 5"),
        ("sink.path=//", r"sink\.path: '//' is the root of the file system; give a folder of its own"),
        ('sink.path="a\\0b"', r"sink\.path: 'a\\x00b' holds a NUL character"),
        ("sink.path=''", "sink.path: the path is empty"),  # not the folder where we happen to be
    ],
)
def test_overrides_that_cannot_be(tmp_path, override, message):
    with pytest.raises(PlanError, match=message):
        load(tmp_path, "", override)


def test_empty_sections_are_defaults(tmp_path):
    assert load(tmp_path, "windows:\npca:\nruntime:\n") == load(tmp_path, "")


def test_what_runs_a_job_does_not_name_it():
    """Chunk size, engine, backend and memory change no value, so they are not in the fingerprint; all else is."""
    base = {"source": {"path": "a"}, "sink": {"path": "b"}}
    name = parse_job(base).spec.fingerprint("table")
    for same in (
        {"runtime": {"chunk_rows": 5, "engine": "local", "backend": "torch", "workers": 3, "max_memory_gb": 1}},
        {"sink": {"path": "elsewhere"}},
        {"source": {"path": "the same table, moved"}},
    ):
        assert parse_job(base | same).spec.fingerprint("table") == name
    others = [
        {"columns": {"time": "t"}},
        {"columns": {"high_null_threshold": 0.5}},
        {"datetime": {"cycle": "calendar"}},
        {"categories": {"max_categories": 7}},
        {"numbers": {"scale": "all"}},
        {"split": {"seed": 1}},
        {"windows": {"size": 4}},
        {"windows": {"strides": [1]}},
        {"pca": {"components": 3}},
    ]
    fingerprints = {name, *(parse_job(base | other).spec.fingerprint("table") for other in others)}
    fingerprints.add(parse_job(base).spec.fingerprint("another table"))
    assert len(fingerprints) == len(others) + 2


def test_a_spec_survives_json():
    from emberharmony.pipeline.spec import PipelineSpec

    job = parse_job(
        {
            "source": {"path": "a", "columns": ["x", "t"]},
            "sink": {"path": "b"},
            "columns": {"time": "t", "drop": ["x"]},
            "split": {"gap": "PT5H", "fractions": [0.6, 0.2, 0.2]},
            "windows": {"strides": [2, 9]},
        }
    )
    assert PipelineSpec.from_json(job.spec.to_json()) == job.spec


def test_the_home_folder_of_a_result(monkeypatch):
    """A folder named ``~`` in the working directory is what nobody means."""
    monkeypatch.setenv("HOME", "/home/someone")
    assert parse_job({"source": {"path": "a"}, "sink": {"path": "~/out"}}).sink.path == "/home/someone/out"
    applied = {"source": {"path": "a"}, "sink": {"path": "~"}, "state": "~/out"}
    assert parse_job(applied, model=ApplyJob).state == "/home/someone/out"


SINKS = [
    {"path": "out"},
    {"path": "out", "type": "parquet"},
    {"path": "out", "type": "delta"},
    {"path": "out", "type": "bigquery", "dataset": "my-project.b"},
]
SOURCES = [{"path": "a.parquet"}, {"path": ["a.parquet"], "type": "parquet"}, {"table": "my-project.b.c", "type": "bigquery"}]


@pytest.mark.parametrize(
    "places",
    [*({"source": SOURCES[0], "sink": sink} for sink in SINKS), *({"source": source, "sink": SINKS[0]} for source in SOURCES)],
    ids=str,
)
def test_a_server_takes_the_jobs_that_a_file_may_hold(places):
    """A Prefect server checks a flow run's parameters by their JSON schema, where one kind has to fit, and no other."""
    parse_job(places)
    jsonschema.validate(places, Job.model_json_schema())
    jsonschema.validate({"job": places}, parameter_schema(extract.fn).model_dump_for_openapi())


@pytest.mark.parametrize("places", [{"source": SOURCES[0], "sink": {"path": "out", "dataset": "my-project.b"}}], ids=str)
def test_a_server_refuses_a_place_of_another_type_than_it_says(places):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(places, Job.model_json_schema())
