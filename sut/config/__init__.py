"""What is to be run: settings, each with its source, and the checked user.conf."""
