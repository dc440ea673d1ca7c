"""A node of MLPerf's network division: the samples that it receives, and the system that runs them.

Samples are received (`channel`) into rows of a slab (`slab`) that the engines read (`executor`). A
dispatcher makes the batches (`side`), in a process that the agent of the node starts (`child`).
"""
