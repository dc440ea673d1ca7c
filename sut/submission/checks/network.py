"""Checks of the network division: what its rules ask for, as far as a tree shows it.

Rules: inference_rules.adoc, "Network Division". The official checkers test is_network, that its
further fields are there, and "Network SUT" in the SUT's name; everything else here is the rules'.
In the open division, where the rules do not hold, what only they ask for is a warning.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from data.rounds.rules import DATACENTER, EDGE
from sut.submission.checks.result import measurements_file
from sut.submission.network import NAME_PART, NETWORK_FIELDS, is_network, node_names
from sut.submission.order import type_of
from sut.submission.system import says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from sut.record.loadgen_logs import DetailLog
    from sut.submission.checks.finding import Findings
    from sut.submission.checks.result import Result
    from sut.submission.layout import Submitter

    Tell = Callable[[str, Path, str, str], None]

_FABRICS = re.compile(r"ethernet|802\.11|infiniband|3gpp|wi-?fi|\b[45]g\b", re.IGNORECASE)
_BUSES = re.compile(
    r"pci-?e|pci express|\bcxl\b|\bccix\b|hypertransport|nvlink|\bqpi\b|\bupi\b|\bici\b|loopback",
    re.IGNORECASE,
)
# The fastest fabric takes about 1 us there and back; no Name() that asks a node is faster.
_LEAST_ROUND_TRIP_NS = 1_000
_DRAWINGS = {".svg", ".png", ".jpg", ".jpeg", ".pdf", ".drawio", ".gif"}
_PDF = ".pdf"  # its words are compressed, so it counts as it is
_TEXTS = {_PDF, ".md", ".txt", ".adoc", ".rst"}
_QDL = re.compile(r"\bqdl\b|query dispatch library", re.IGNORECASE)
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([MGT])b", re.IGNORECASE)
_BITS_A_BYTE = 8
_BITS = {"M": 1e6, "G": 1e9, "T": 1e12}
# Where LoadGen logs the rate of a performance run, in samples a second.
_RATES = ("result_samples_per_second", "result_completed_samples_per_sec")


def check_network_system(
    submitter: Submitter, system: dict[str, object], path: Path, findings: Findings
) -> None:
    """Check the description of a system that lies in the network division, or says it could."""
    stated = str(system.get("is_network", "false")).lower()
    if stated not in {"true", "false"}:
        findings.error(
            "system-field", path, f'is_network is "{stated}"; expected true or false', "Correct it"
        )
    networked = stated == "true"
    if networked != (submitter.division == "network") and submitter.division != "open":
        findings.error(
            "network-division",
            path,
            f"is_network is {stated}, and the division {submitter.division}",
            "Correct is_network, or move the results",
        )
    if not networked:
        return
    for field in NETWORK_FIELDS:
        if field not in system:
            findings.error("system-field", path, f'field "{field}" is missing', "Correct it")
    tell = _teller(submitter, findings)
    blank = [field for field in NETWORK_FIELDS if field in system and not says(system, field)]
    if blank:
        tell("network-blank", path, f"{', '.join(blank)} say(s) nothing", "Fill it in")
    _check_fabric(system, path, tell)
    if type_of(system) == EDGE:
        tell(
            "network-suite",
            path,
            "its system_type is edge; the network division has the datacenter suite only",
            "Correct system_type, or move it to open",
        )


def _check_fabric(system: dict[str, object], path: Path, tell: Tell) -> None:
    """Check that the nodes are connected by a fabric that the rules permit."""
    fields = ("network_type", "network_media")
    shown = {field: str(system[field]) if says(system, field) else "" for field in fields}
    bus = next((text for text in shown.values() if _BUSES.search(text)), None)
    if bus is not None or (shown["network_type"] and not _FABRICS.search(shown["network_type"])):
        tell(
            "network-fabric",
            path,
            f'the network is "{bus or shown["network_type"]}"; permitted are Ethernet, IEEE802.11, '
            "Infiniband and 3GPP, and no bus",
            "Measure it over one of these, or correct network_type",
        )


def check_network_papers(submitter: Submitter, findings: Findings) -> None:
    """Check for a diagram of the network, and a description of what the QDL sends."""
    if submitter.division != "network":
        return
    files = list(_papers(submitter))
    if not any(path.suffix.lower() in _DRAWINGS for path in files):
        findings.error(
            "network-diagram",
            submitter.folder,
            "no diagram shows how LoadGen's machine and the SUT's nodes are connected",
            "Put one into documentation/",
        )
    texts = (path for path in files if path.suffix.lower() in _TEXTS)
    if not any(path.suffix.lower() == _PDF or _QDL.search(_text(path)) for path in texts):
        findings.error(
            "network-papers",
            submitter.folder,
            "no document says what the QDL sends for each query",
            "Describe its messages in documentation/, beside the QDL's source",
        )


def _papers(submitter: Submitter) -> Iterable[Path]:
    """Yield the submitter's files beside its source and its results."""
    for path in sorted(submitter.folder.iterdir()):
        if path not in (submitter.source, submitter.results):
            yield from sorted(path.rglob("*")) if path.is_dir() else (path,)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace") if path.is_file() else ""
    except OSError:  # without permission to read it, it says nothing
        return ""


def check_network_result(result: Result, findings: Findings) -> None:
    """Check what the logs and measurements.json of a result show of its network."""
    log, path = result.performance, result.performance_detail
    if log is None:
        return
    name = str(log.get("sut_name", ""))
    networked = is_network(result.system)
    if networked and NAME_PART not in name:
        findings.error(
            "network-name",
            path,
            f'sut_name is "{name}"; expected "{NAME_PART}" in it',
            "Let the QDL return such a name",
        )
    nodes = node_names(name)
    if NAME_PART in name and len(set(nodes)) < len(nodes):
        findings.error(
            "network-nodes",
            path,
            f"{len(nodes)} nodes have {len(set(nodes))} name(s): {nodes[0]}",
            "Give every node its own name; the QDL asks each for it",
        )
    if not networked:
        return
    tell = _teller(result.place.submitter, findings)
    _check_name(result, log, nodes, tell)
    _check_suite(result, findings)
    _check_measured(result, log, tell, findings)


def _check_name(result: Result, log: DetailLog, nodes: list[str], tell: Tell) -> None:
    """Check that Name() can have asked every node, over a network."""
    path = result.performance_detail
    took_ns = log.get("get_sut_name_duration_ns")
    if isinstance(took_ns, int | float) and took_ns < _LEAST_ROUND_TRIP_NS:
        tell(
            "network-round-trip",
            path,
            f"Name() returned after {took_ns:g} ns; a round trip over a network takes longer",
            "Let the QDL ask every node for its name each time",
        )
    count = str(result.system.get("number_of_nodes", ""))
    if NAME_PART in str(log.get("sut_name", "")) and count.isdecimal() and int(count) > len(nodes):
        tell(
            "network-nodes",
            path,
            f"the system has {int(count)} nodes, and the SUT's name those of {len(nodes)}",
            "Let the QDL ask every node for its name, or correct number_of_nodes",
        )


def _check_suite(result: Result, findings: Findings) -> None:
    """Warn about a benchmark that only the checker's tables have for such a system."""
    rules = result.rules
    if result.place.submitter.division != "network" or rules is None:
        return
    if DATACENTER not in rules.scenarios:
        findings.warn(
            "network-suite",
            result.place.results,
            f"{rules.name} is not in the datacenter suite of {result.round.name}, which alone the "
            'network division has; the checkers accept it on a "datacenter,edge" system',
            "Ask the working group, or move it to open",
        )


def _check_measured(result: Result, log: DetailLog, tell: Tell, findings: Findings) -> None:
    """Check what measurements.json says about the QDL; only this program writes it."""
    measured = result.measured.get("network")
    if not isinstance(measured, dict):
        return
    path = measurements_file(result.place)
    queries, messages = log.get("result_query_count"), _number(measured, "messages")
    samples = _number(measured, "samples")
    if isinstance(queries, int) and (messages < queries or messages < samples):
        tell(
            "network-batches",
            path,
            f"the QDL sent {messages:g} messages for {queries} queries of {samples:g} samples; it "
            "may not batch",
            "Send every sample by itself, and batch them at the nodes",
        )
    machines = measured.get("machines")
    if isinstance(machines, list) and len(set(machines)) < len(machines):
        tell(
            "network-same-machine",
            path,
            f"LoadGen and the nodes, {len(machines)} in all, ran on {len(set(machines))} "
            "machine(s); the SUT and the QDL must be physically separate",
            "Run LoadGen and every node on machines of their own",
        )
    travels = measured.get("format")
    if travels not in (None, "raw"):
        findings.warn(
            "network-compression",
            path,
            f"the samples travel as {travels}, which the rules take for compression",
            "Have it approved by the working group two weeks before the deadline",
        )
    _check_rate(result, log, measured, path, tell)


def _check_rate(
    result: Result, log: DetailLog, measured: dict[str, object], path: Path, tell: Tell
) -> None:
    """Check that what was sent fits through the network that the system states."""
    rate = next((value for key in _RATES if (value := _number(log.records, key))), 0.0)
    stated = _RATE.search(str(result.system.get("network_rate", "")))
    cards = str(result.system.get("number_nic_loadgen", ""))
    samples = _number(measured, "samples")
    if stated is None or not cards.isdecimal() or not rate or not samples:
        return
    needed = rate * _number(measured, "bytes") / samples * _BITS_A_BYTE
    there = float(stated[1]) * _BITS[stated[2].upper()] * int(cards)
    if needed > there:
        tell(
            "network-rate",
            path,
            f"the samples of this result need {needed / 1e9:.3g} Gb/s, and the system has "
            f"{there / 1e9:.3g} Gb/s",
            "Correct network_rate or number_nic_loadgen",
        )


def _number(found: Mapping[str, object], key: str) -> float:
    value = found.get(key)
    return value if isinstance(value, int | float) else 0.0


def _teller(submitter: Submitter, findings: Findings) -> Tell:
    """Return what tells a breach of a rule that only the network division has."""
    return findings.error if submitter.division == "network" else findings.warn
