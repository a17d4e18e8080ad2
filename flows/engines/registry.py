"""The engines by name."""

from __future__ import annotations

import logging

from pydantic_core import PydanticCustomError

from flows.engines.auto import Auto
from flows.engines.base import EngineKind
from flows.engines.dask import Dask
from flows.engines.local import Local
from flows.engines.pools import Pools
from flows.engines.processes import Processes
from flows.engines.ray import Ray
from flows.engines.threads import Threads

ENGINES: dict[str, EngineKind] = {
    kind.name: kind for kind in (Auto(), Local(), Threads(), Processes(), Dask(), Ray(), Pools())
}
"""Every engine that `runtime.engine` may name."""
FORMER_NAMES = {"none": "local"}

_log = logging.getLogger(__name__)


def current_name(name: str) -> str:
    """Return the name of an engine; an engine's former name becomes its present one, with a warning.

    Raises
    ------
    PydanticCustomError
        If there is no such engine.

    Examples
    --------
    >>> current_name("threads")
    'threads'
    """
    if name in FORMER_NAMES:
        _log.warning("runtime.engine: %s is now called %s. Please change the job.", name, FORMER_NAMES[name])
        return FORMER_NAMES[name]
    if name in ENGINES:
        return name
    *others, last = map(repr, ENGINES)
    # The error of a `Literal`, which the job's messages explain.
    raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": f"{', '.join(others)} or {last}"})
