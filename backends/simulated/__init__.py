"""A device that only takes its time: S(b), the service time of a batch of b samples, as a curve.

The CSV files in curves/ are curves of real devices; the lines that begin with # say where each
comes from, and whether it was measured or fitted.
"""
