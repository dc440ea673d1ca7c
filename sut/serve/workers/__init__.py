"""Workers: each owns one engine on one device and runs its batches."""
