"""The only rooms that touch storage."""
