"""Job files and their settings."""
