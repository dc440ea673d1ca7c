"""Sweeps: one load over a range of values, each point a row of a table that checks itself."""
