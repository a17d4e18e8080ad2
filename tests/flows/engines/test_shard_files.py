"""What a shard and its run tell each other through files: heartbeats, errors, and that nobody waits any more."""

from __future__ import annotations

import pytest

from emberharmony.errors import DamagedError, ForeignError
from emberharmony.pipeline.run import RunRef
from flows.engines.shard_files import error_of, give_up, last_heartbeat, leaving_errors, prepare, sending_heartbeats
from tests.faults.victims import wait_until


@pytest.fixture
def ref(tmp_path, monkeypatch) -> RunRef:
    monkeypatch.setattr("flows.engines.shard_files.HEARTBEAT_S", 0.02)
    ref = RunRef(str(tmp_path))
    prepare(ref)
    return ref


def test_heartbeats_go_on_as_long_as_the_block(ref):
    assert last_heartbeat(ref, "shard") is None
    with sending_heartbeats(ref, "shard"):
        wait_until(lambda: last_heartbeat(ref, "shard"))
        first = last_heartbeat(ref, "shard")
        wait_until(lambda: last_heartbeat(ref, "shard") not in (None, "", first))


def test_a_shard_that_is_given_up_stops(ref):
    """Its worker may be gone, so that cancelling it in Prefect would reach nobody."""
    with sending_heartbeats(ref, "shard") as given_up:
        wait_until(lambda: last_heartbeat(ref, "shard") is not None)
        assert not given_up.is_set()
        give_up(ref, "shard")
        assert given_up.wait(5)
    with sending_heartbeats(ref, "shard") as given_up:
        assert given_up.is_set(), "given up before it began"


def test_an_error_arrives_with_its_type_and_fields(ref):
    with pytest.raises(DamagedError), leaving_errors(ref, "shard"):
        raise DamagedError("features/part-0 was changed.", "features/part-0-ab12.parquet")
    error = error_of(ref, "shard")
    assert type(error) is DamagedError
    assert (str(error), error.file) == ("features/part-0 was changed.", "features/part-0-ab12.parquet")
    assert error_of(ref, "another") is None


def test_an_error_of_another_library_arrives_as_one(ref):
    with pytest.raises(MemoryError), leaving_errors(ref, "shard"):
        raise MemoryError
    error = error_of(ref, "shard")
    assert type(error) is ForeignError
    assert error.retryable


def test_what_cannot_be_read_is_no_error(ref, tmp_path):
    for text in ("", "{}", "[]", '{"types": 3, "message": "", "fields": {}}'):
        (tmp_path / "shards/shard.error.json").write_text(text)
        assert error_of(ref, "shard") is None


def test_a_shard_of_a_run_that_is_published_leaves_nothing(tmp_path):
    ref = RunRef(str(tmp_path / "gone"))
    with sending_heartbeats(ref, "shard"), pytest.raises(DamagedError), leaving_errors(ref, "shard"):
        raise DamagedError("gone")
    assert not (tmp_path / "gone").exists()
