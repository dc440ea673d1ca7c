"""Answers at once with zeros: shows what the harness alone can do."""
