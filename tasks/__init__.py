"""Thin Prefect tasks: one module for each stage and each step of a chunk."""

from emberharmony.io.bigquery.connection import use_block_loader
from tasks.credentials import load_gcp_credentials

use_block_loader(load_gcp_credentials)
