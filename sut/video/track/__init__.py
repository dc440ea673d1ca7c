"""Trackers of one stream, and which of its frames are inferred."""
