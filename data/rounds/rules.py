"""The shape of a round's rules. Holds no round."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

# "flat": measurements and compliance are in results/ (since v6.0); "split": beside it; "v0.5" as
# split, with other names for the files of measurements/.
LayoutName = Literal["flat", "split", "v0.5"]
EDGE, DATACENTER, BOTH = "edge", "datacenter", "datacenter,edge"


@dataclass(frozen=True, slots=True)
class Seeds:
    """LoadGen's three random seeds, as a detail log names them without "effective_"."""

    qsl_rng_seed: int
    sample_index_rng_seed: int
    schedule_rng_seed: int


@dataclass(frozen=True, slots=True)
class ModelRules:
    """The rules of one round for one benchmark.

    Attributes:
        name: the checker's.
        metric: "acc", "mAP", "DICE" or "bleu": what accuracy.txt holds.
        target: the least value, as accuracy.txt prints it (percent for acc and mAP).
        performance_sample_count: samples that LoadGen must hold at least.
        dataset_size: samples of an accuracy run.
        offline_samples: samples of Offline's query at least.
        server_bound_ms: latency bound; None where there is no Server scenario.
        scenarios: required ones by type of system.
        audits: compliance tests of the closed division.
        audit_samples: responses that TEST01 asks LoadGen to log.
    """

    name: str
    metric: str
    target: float
    performance_sample_count: int
    dataset_size: int
    offline_samples: int
    server_bound_ms: int | None
    scenarios: Mapping[str, tuple[str, ...]]
    audits: tuple[str, ...] = ()
    audit_samples: int = 4096

    @property
    def loadgen_name(self) -> str:
        """The model's name in mlperf.conf and user.conf, which is not the checker's."""
        plain = re.sub(r"-\d+(\.\d+)?$", "", self.name)  # yolo-99, 3d-unet-99.9
        return "resnet50" if plain == "resnet" else plain


@dataclass(frozen=True, slots=True)
class Round:
    """One round.

    Attributes:
        name: such as "v6.1".
        layout: where files lie.
        seeds: of its mlperf.conf.
        loadgen: first and last version of mlcommons-loadgen that carries them; None: none does.
        min_duration_ms: of a performance run.
        models: by the checker's name.
        aliases: folder names that the checker takes for a model.
        others: the round's further benchmarks, whose rules are not here.
        server_runs: performance runs of Server; every other scenario has one.
    """

    name: str
    layout: LayoutName
    seeds: Seeds
    loadgen: tuple[str, str] | None
    min_duration_ms: int
    models: Mapping[str, ModelRules]
    aliases: Mapping[str, str] = field(default_factory=dict)
    others: frozenset[str] = frozenset()
    server_runs: int = 1
