"""The network division's part of a submission: fields of the system, names, facts of the QDL.

Field list: mlcommons/inference, submission_checker/constants.py
(SYSTEM_DESC_REQUIRED_FIELDS_NETWORK_MODE).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the name of every SUT over a network has in it.
NAME_PART = "Network SUT"
# Further fields of a system whose is_network is true.
NETWORK_FIELDS = (
    "network_type", "network_media", "network_rate", "nic_loadgen", "number_nic_loadgen",
    "net_software_stack_loadgen", "network_protocol", "number_connections", "nic_sut",
    "number_nic_sut", "net_software_stack_sut", "network_topology",
)  # fmt: skip
_NODES_BEGIN = re.compile(r"^[^,]*?SUT:")  # "Multi-Node SUT: Network SUT a, Network SUT b"


def is_network(system: Mapping[str, object]) -> bool:
    """Return whether a system's description says that its SUT is reached over a network."""
    return str(system.get("is_network", "")).lower() == "true"


def node_names(sut_name: str) -> list[str]:
    """Return the name of every node in a SUT's name."""
    return [node.strip() for node in _NODES_BEGIN.sub("", sut_name).split(",")]
