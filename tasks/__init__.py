"""Thin Prefect tasks: one module for each stage and each step of a chunk."""

from emberharmony.io.bigquery.connection import use_block_loader
from emberharmony.io.store.clients import use_secret_loader
from tasks.credentials import load_gcp_credentials, load_secret

use_block_loader(load_gcp_credentials)
use_secret_loader(load_secret)
