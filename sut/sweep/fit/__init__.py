"""What fits into memory: the largest batch, and a model of memory from three points."""
