"""Engines: one folder per backend, and their common contract (`backends.base`)."""
