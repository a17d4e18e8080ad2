"""What a job that applies a state can set of the sections that are in the state."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from emberharmony.features.columns import NullTime
from emberharmony.settings import Duration


class AppliedColumns(BaseModel):
    """Settings of columns that an applied job can change; all others are in the fitted state."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    null_time: NullTime | None = Field(
        None, description="What becomes of rows without a time; by default as in the job that was fitted."
    )


class AppliedWindows(BaseModel):
    """Settings of windows that an applied job can change; all others are in the fitted state."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lookback: Duration | None = Field(
        None,
        description="How far before its slice the job reads rows, so that windows that end in the slice are complete; by "
        "default as in the job that was fitted.",
    )
