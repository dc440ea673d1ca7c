"""The verbs of the command line: one file a verb, arguments in, text and exit code out."""
