"""Runs models with torch through the CUDA worker."""
