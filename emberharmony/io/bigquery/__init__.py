"""BigQuery in and out: read by key range at one snapshot, profile where the data is, publish exactly once.

Google's libraries are the extra ``emberharmony[bigquery]`` and are imported when first used.
"""

from emberharmony.io.bigquery.connection import BigQueryConnection, Clients
from emberharmony.io.bigquery.failures import RetrySpec
from emberharmony.io.bigquery.identifiers import TableName

__all__ = ["BigQueryConnection", "Clients", "RetrySpec", "TableName"]
