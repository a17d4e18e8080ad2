"""Results as BigQuery tables."""
