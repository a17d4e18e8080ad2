"""The section `runtime` of a job: how it runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from flows.engines.registry import ENGINES, current_name


class Runtime(BaseModel):
    """How the job runs; nothing here changes its result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Annotated[str, AfterValidator(current_name)] = Field(
        "auto",
        description="`local`: threads of this process, without Prefect; the others are Prefect flow runs. `auto`: `threads` "
        "if a Prefect API is configured or the job runs inside a flow, else `local`.",
        json_schema_extra={"enum": list(ENGINES)},
    )
    address: str | None = Field(None, description="A Dask scheduler or Ray cluster to use; without one it is started here.")
    backend: str = Field(
        "auto", description="numpy, torch or mlx, with a device if wanted (torch:cuda:1); auto: the best here."
    )
    workers: int | None = Field(None, ge=1, description="Chunks at a time; by default one for each core, or as memory allows.")
    threads: int | None = Field(
        None,
        ge=1,
        description="Compute threads of each worker process; by default its share of the cores here, elsewhere one.",
    )
    pools: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="Worker pools of `engine: pools`: name of the `shard` deployment, shards at a time."
    )
    shard_chunks: int | None = Field(None, ge=1, description="Chunks of a shard; by default a quarter of a slot's part.")
    start_timeout_s: float = Field(
        180.0, gt=0, le=1e6, description="Seconds in which a worker must begin a shard; after that another pool gets it."
    )
    silence_timeout_s: float = Field(
        60.0,
        ge=2,
        le=1e6,
        description="Seconds without a heartbeat from a shard's process, after which another pool does what is left. At least "
        "three heartbeats are waited for: 3 s in a folder, 45 s in a bucket.",
    )
    parity_check: float = Field(
        0.0, ge=0, le=1, description="Share of the chunks that NumPy computes as well, for comparison."
    )
    max_memory_gb: float = Field(
        4.0,
        gt=0,
        le=100_000,
        description="Most memory in GiB of the whole job on this host; a plan that needs more is refused.",
    )
    chunk_rows: int | None = Field(None, ge=1, description="Rows of a chunk; by default what memory allows, at most 131,072.")
    granularity: Literal["stage", "chunk", "auto"] = Field(
        "auto",
        description="Prefect task runs: one for every step of a chunk; one for a stage of a chunk, or of several quick ones; "
        "or by the number of chunks.",
    )

    @model_validator(mode="after")
    def _check_engine(self) -> Runtime:
        ENGINES[self.engine].check_settings(self)
        return self
