"""Engines: how the chunks of a stage are run."""
