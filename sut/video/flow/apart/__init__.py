"""Readers in processes of their own: frames are read there, and served by this process's engines.

A process reads several streams and leaves the first stage's input in memory that both map. What
travels is a message of some bytes a frame. All times are of the host's one monotonic clock.
"""
