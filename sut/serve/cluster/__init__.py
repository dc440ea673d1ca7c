"""Workers on other machines: what they are told, who may tell them, and how their loss is noticed.

A node is one agent process for a machine (`node`, `session`), with a worker process for each device
(`worker`). On this side a link holds a session with each node (`link`), and each worker has a
connection of its own (`remote`).
"""
