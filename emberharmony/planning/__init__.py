"""Chunks and memory, computed with integers before a row is read."""
