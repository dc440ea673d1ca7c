"""Clips that are made here, written, and told apart."""
