"""`sut cluster`: the machines that answer a run from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.verbs import (
    cluster_down,
    cluster_keys,
    cluster_node,
    cluster_scaling,
    cluster_status,
    cluster_up,
)
from sut.verbs.actions import act, add_actions

if TYPE_CHECKING:
    import argparse

    from sut.verbs.actions import Actions

EXAMPLES = """examples:
  sut cluster keys keys
  sut cluster node --name alpha --listen 127.0.0.1:7700
  sut run -b efficientnet-lite0 -s Offline --cluster cluster.yaml
"""
ACTIONS: Actions = {
    "node": (cluster_node, "let this machine's devices answer runs, until it is stopped"),
    "scaling": (cluster_scaling, "measure 1 to N nodes: share of linear, and what stops it"),
    "up": (cluster_up, "let Ray place, start and watch the nodes of a cluster file"),
    "status": (cluster_status, "show the nodes that were brought up, and how they are"),
    "down": (cluster_down, "end the nodes that were brought up"),
    "keys": (cluster_keys, "make the keys that nodes and runs know each other by"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments: an action with its own."""
    add_actions(parser, ACTIONS, EXAMPLES)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Do what was asked; return the exit code."""
    return act(ACTIONS, arguments, command)
