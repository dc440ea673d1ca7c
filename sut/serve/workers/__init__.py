"""Workers: each owns one engine on one device, and runs the batches that it is given."""
