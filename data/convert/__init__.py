"""Converters of published weights to ONNX, one file a family; they need NumPy and onnx alone."""
