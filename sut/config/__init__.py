"""What to run: settings, each with its source, and the checked user.conf."""
