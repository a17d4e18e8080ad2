"""Results as folders of Parquet files."""
