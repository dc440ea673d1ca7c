"""Ray places, starts and watches the nodes of a cluster; no batch ever passes through it."""
