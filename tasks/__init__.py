"""One thin Prefect task module per stage."""
