"""A device that only takes time: S(b), the service time of a batch of b samples, as a curve.

The CSV files in curves/ are curves of real devices. Lines that begin with # give the origin of
each, and say whether it was measured or fitted.
"""
