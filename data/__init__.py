"""Benchmarks, models and data sets: what is run, and on what. Knows no scenario, no device."""
