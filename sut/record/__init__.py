"""What was measured: the trace of every batch, the result, the run folder, LoadGen's logs."""
