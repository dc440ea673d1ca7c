"""The CUDA worker: what every backend on an NVIDIA GPU shares, on cuda-python, without torch.

A backend brings a `backends.cuda.kernel.Kernel`; `backends.cuda.engine` makes an asynchronous
engine of it.
"""
