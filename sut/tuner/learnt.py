"""What runs showed beyond S(b), in the form in which the queue model takes it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from backends.simulated.jitter import Jitter, Observed
from sut.serve.queue_device import MEASURED_HOST, Host

if TYPE_CHECKING:
    from sut.record.trace_facts import TraceFacts


@dataclass(frozen=True, slots=True)
class Learnt:
    """What runs showed beyond S(b).

    Attributes:
        service_ratio: factor on S(b).
        jitter: of the devices.
        host: hops.
    """

    service_ratio: float = 1.0
    jitter: Jitter = field(default_factory=Jitter)
    host: Host = MEASURED_HOST

    def with_facts(self, facts: TraceFacts) -> Learnt:
        """Learn from the trace of a run."""
        host = self.host
        in_ns = host.hop_in_ns if facts.hop_in_ns is None else facts.hop_in_ns
        hops = Observed(quantiles=facts.hop_factors)
        return replace(
            self,
            service_ratio=facts.service_ratio,
            jitter=Observed(quantiles=facts.service_factors),
            host=replace(host, hop_in_ns=in_ns, hop_out_ns=facts.hop_out_ns, jitter=hops),
        )

    def slower(self, factor: float) -> Learnt:
        """Return the same with batches that take `factor` times as long."""
        return replace(self, service_ratio=round(self.service_ratio * factor, 4))
