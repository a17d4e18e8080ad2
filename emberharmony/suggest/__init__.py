"""A first job for a table: which column is the time, the entity and the target, and which columns are no features."""
