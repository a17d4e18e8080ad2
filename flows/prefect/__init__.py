"""Prefect servers, artifacts and work pools."""
