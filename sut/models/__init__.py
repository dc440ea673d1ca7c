"""A model converted to another precision, and compared with the original."""
