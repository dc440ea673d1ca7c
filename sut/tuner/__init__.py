"""Finds the harness settings and the load of a scenario: proposes, is told, proves, explains."""
