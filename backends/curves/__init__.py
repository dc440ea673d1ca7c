"""Curves: how long a device takes for a batch, and by how much its batches differ.

The CSV files beside the code are curves of real devices; the lines that begin with # say where
each comes from, and whether it was measured or fitted.
"""
