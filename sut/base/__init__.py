"""What everything stands on: errors, environment, processes, files written whole."""
