"""Thin Prefect tasks: one module for each stage and each step of a chunk."""
