"""Thin Prefect tasks: one module for each stage and each step of a chunk."""

from emberharmony.io.bigquery.connection import use_block_loader
from emberharmony.io.bigquery.read import use_read_slots
from emberharmony.io.store.clients import use_secret_loader
from tasks.credentials import load_gcp_credentials, load_secret
from tasks.read_limit import bigquery_read

use_read_slots(bigquery_read)
use_block_loader(load_gcp_credentials)
use_secret_loader(load_secret)
