"""A submission: run, verified, written as a tree, and checked."""
