"""A remote server of the Open Inference Protocol, such as Triton or `sut serve`, as an engine."""
