"""The foundation: errors, environment, processes, files that are written whole."""
