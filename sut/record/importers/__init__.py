"""Other tools' results, one file a tool, each read into tables."""
