"""Converters of published weights to ONNX, one file per family; they need only NumPy and onnx."""
