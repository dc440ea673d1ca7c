"""The network division's part of a submission: fields of the system, names, facts of the QDL.

Field list: mlcommons/inference, submission_checker/constants.py
(SYSTEM_DESC_REQUIRED_FIELDS_NETWORK_MODE).
"""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base import environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sut.submission.ran import RanNetwork

# What the name of every SUT over a network has in it.
NAME_PART = "Network SUT"
# Further fields of a system whose is_network is true.
NETWORK_FIELDS = (
    "network_type", "network_media", "network_rate", "nic_loadgen", "number_nic_loadgen",
    "net_software_stack_loadgen", "network_protocol", "number_connections", "nic_sut",
    "number_nic_sut", "net_software_stack_sut", "network_topology",
)  # fmt: skip
# Those that the run fills in where they are empty.
OF_RUN = ("network_protocol", "number_connections", "net_software_stack_sut")
OF_PERSON = tuple(name for name in NETWORK_FIELDS if name not in OF_RUN)
# What the program itself decides.
PROTOCOL = "IP, TCP; ZeroMQ's ZMTP 3.1 (CURVE where keys are used), one message a sample"
CONNECTIONS_A_NODE = 2  # one for the session, one for samples and answers
_NODES_BEGIN = re.compile(r"^[^,]*?SUT:")  # "Multi-Node SUT: Network SUT a, Network SUT b"


def is_network(system: Mapping[str, object]) -> bool:
    """Return whether a system's description says that its SUT is reached over a network."""
    return str(system.get("is_network", "")).lower() == "true"


def node_names(sut_name: str) -> list[str]:
    """Return the name of every node in a SUT's name."""
    return [node.strip() for node in _NODES_BEGIN.sub("", sut_name).split(",")]


def described() -> dict[str, object]:
    """Return the fields as far as LoadGen's machine shows them; the others are empty."""
    cards = sorted(card for card in Path("/sys/class/net").glob("*") if (card / "device").exists())
    return {
        "is_network": "true",
        **dict.fromkeys(NETWORK_FIELDS, ""),
        "number_nic_loadgen": str(len(cards)) if cards else "",
        "net_software_stack_loadgen": (
            f"{environment.os_name()}, Linux {platform.release()}, {_library()}"
        ),
        "network_protocol": PROTOCOL,
    }


def _library() -> str:
    versions = environment.versions()
    return f"pyzmq {versions['pyzmq']}" if "pyzmq" in versions else "ZeroMQ"


def filled(system: Mapping[str, object], ran: RanNetwork) -> dict[str, object]:
    """Return the description with what a run shows in its empty fields."""
    shown = {
        "is_network": "true",
        "network_protocol": PROTOCOL,
        "number_connections": str(CONNECTIONS_A_NODE * len(ran.nodes)),
        "net_software_stack_sut": "; ".join(dict.fromkeys(node.software for node in ran.nodes)),
    }
    return {**system, **{name: text for name, text in shown.items() if not system.get(name)}}


def facts(ran: RanNetwork) -> dict[str, object]:
    """Return what measurements.json says of the QDL and its nodes; `sut check` reads it."""
    return {
        "format": ran.travel,
        "messages": ran.messages,
        "samples": ran.samples,
        "bytes": ran.bytes,
        "nodes": [node.name for node in ran.nodes],
        "machines": [ran.machine, *(node.machine for node in ran.nodes)],
    }


def papers(system: Mapping[str, object], ran: RanNetwork) -> str:
    """Return the document on the network: how it is connected, and what the QDL sends."""
    rows = "\n".join(
        f"| {node.name} | {node.address} | {node.devices} | {node.software} |" for node in ran.nodes
    )
    stated = "\n".join(f"| {name} | {system.get(name, '')} |" for name in NETWORK_FIELDS)
    return f"""# Network

The diagram beside this file shows how LoadGen's machine and the nodes are connected.

| field | value |
| --- | --- |
{stated}

| node | address | devices | software |
| --- | --- | --- | --- |
{rows}

# What the Query Dispatch Library (QDL) sends

The QDL is `sut/serve/network/qdl.py` in the submitted source. For each sample of each query it
sends one message to one node:

1. a head of 37 bytes (`sut/serve/network/messages.py`): kind, session, number of the message, data
   set index, and where the sample lies in its image;
2. the sample itself, {_TRAVELS[ran.travel]}.

It does not batch, pad, cache or change anything. A node receives the sample into memory that its
engines read, makes batches, runs the postprocess, and sends one message for each of its batches:
numbers, durations and LoadGen's response bytes. The QDL completes each sample with its bytes as
they came. Nothing but weights stays on a node when a sample is answered.

`Name()` sends a message to every node and waits for all answers, each with the node's own name.
"""


_TRAVELS = {
    "raw": "as the sample library holds it, not compressed",
    "lossless": "compressed by the sample library without loss (DEFLATE); the node inflates it",
    "jpeg": "as the data set's own image file; the node decodes and preprocesses it",
}
_WIDTH, _ROW, _BOX = 720, 64, 44


def diagram(system: Mapping[str, object], ran: RanNetwork) -> str:
    """Return a drawing of LoadGen's machine, the network and the nodes, as SVG."""
    height = max(3, len(ran.nodes)) * _ROW + 40
    middle = height / 2
    loadgen = ["LoadGen's machine", "LoadGen, QSL, QDL", _said(system, "nic_loadgen")]
    network = [_said(system, "network_type"), _said(system, "network_rate"),
               _said(system, "network_topology")]  # fmt: skip
    parts = [_box(20, middle, loadgen), _box(270, middle, network)]
    parts.append(_line(200, middle, 270, middle))
    for number, node in enumerate(ran.nodes):
        y = (number + 0.5) * height / len(ran.nodes)
        parts.append(_line(450, middle, 520, y))
        parts.append(_box(520, y, [f"node {node.name}", f"devices {node.devices}",
                                   _said(system, "nic_sut")]))  # fmt: skip
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="sans-serif" font-size="11">\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _said(system: Mapping[str, object], name: str) -> str:
    return str(system.get(name, ""))[:30]


def _box(x: float, y: float, lines: Sequence[str]) -> str:
    texts = "".join(
        f'<text x="{x + 8}" y="{y - 10 + 14 * k:g}">{_escaped(line)}</text>'
        for k, line in enumerate(lines)
    )
    top = y - _BOX / 2 - 4
    return (
        f'<rect x="{x}" y="{top:g}" width="180" height="{_BOX + 8}" fill="none" stroke="black"/>'
        + texts
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1}" y1="{y1:g}" x2="{x2}" y2="{y2:g}" stroke="black"/>'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
