"""One test, from its plan to its result: the trial's process, its supervisor, the live line."""
