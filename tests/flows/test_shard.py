"""The flow of a shard; tests/integration/test_pools.py runs it on workers."""

from typing import get_args

from emberharmony.pipeline.stages import STAGES
from flows.shard import ChunkStageName, shard


def test_a_shard_takes_every_stage_that_runs_for_each_chunk():
    names = [stage.name for stage in STAGES.values() if not stage.once]
    assert [*get_args(ChunkStageName)] == names
    assert shard.parameters.properties["stage"]["enum"] == names
