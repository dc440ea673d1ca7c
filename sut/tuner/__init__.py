"""Finds the harness settings and the load of a scenario, proves them, and explains them."""
