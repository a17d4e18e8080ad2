"""Expectations: bounds on the rows of a job that decide whether its result is published."""
