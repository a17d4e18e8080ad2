"""Servers that the tests talk to as to a cloud: object stores, and a proxy that disturbs the way to them."""
