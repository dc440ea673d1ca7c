"""Streams in processes of their own: frames are read there, and inferred by this process's engines.

A process reads several streams and leaves the models' inputs in memory that both map. What travels
is messages of some bytes. Where nobody here looks at frames, they are served there, too, and the
answers lie in that memory. All times are of the host's one monotonic clock.
"""
