"""MLPerf's network division on LoadGen's machine: samples travel, and nodes batch them.

A Query Dispatch Library (`qdl`, `policy`) sends every sample by itself, as the sample library
packed it before the test (`packing`). sut.serve.received is the other end.
"""
