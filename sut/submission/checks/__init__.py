"""Checks of a submission's tree, stricter than the official ones: one subject a file."""
