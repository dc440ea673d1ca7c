"""Runs ONNX models with ONNX Runtime, on the CPU or on one CUDA device."""
