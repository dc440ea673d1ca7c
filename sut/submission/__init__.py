"""A submission: what a round asks for, run, verified, laid out and checked. One idea a file."""
