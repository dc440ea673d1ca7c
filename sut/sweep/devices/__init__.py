"""One model on several devices and in several precisions, as one table."""
