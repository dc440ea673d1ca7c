"""One test from plan to result: its process, its supervisor, the live line."""
