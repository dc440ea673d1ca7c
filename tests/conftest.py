"""What holds for every test."""

from hypothesis import settings

# The same examples on every machine and every run; a slow machine is no failure.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.load_profile("fixed")
