"""A try: an engine opened and run in a process of its own, with an outcome whatever happens."""
