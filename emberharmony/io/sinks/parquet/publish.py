"""The sink of Parquet files: the store commits all that there is to publish."""

from __future__ import annotations

from emberharmony.io.manifest import Manifest
from emberharmony.io.sinks.base import fitted_outputs, output
from emberharmony.io.sinks.base_sink import BaseSink
from emberharmony.io.sinks.parquet.spec import ParquetSinkSpec


class ParquetSink(BaseSink[ParquetSinkSpec]):
    """A folder of Parquet files: it holds columns of any type, and needs nothing besides the files."""

    def outputs(self, manifest: Manifest) -> tuple[str, ...]:
        """Folders and files of a published result."""
        path = self._spec.path
        features = [output(path, manifest, "features")] if manifest.holds_rows else []
        windows = [output(path, manifest, "windows")] if manifest.holds_rows and manifest.strides else []
        return (*features, *windows, *fitted_outputs(path, manifest))
