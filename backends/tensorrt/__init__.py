"""TensorRT: which library is installed, plans built from ONNX and kept, and the proof of precision.

Runs nothing: `backends.tensorrt.engine` does.
"""
