"""Engines: one file a backend, and the contract they share (`backends.base`)."""
