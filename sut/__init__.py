"""loadgen-sut: an MLPerf Inference system under test. Importing it loads no engine, no LoadGen."""

__version__ = "0.1.0"
