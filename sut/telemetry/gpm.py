"""What a GPU's multiprocessors do, through NVML's GPM: no other tool, no root, Hopper and later.

Two samples of the GPU's counters give the averages between them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

_DRAM = "dram_percent"
# Fields of Reading by NVML's number of the metric (nvml.h, nvmlGpmMetricId_t). All are percent.
# No metric counts issue slots: only nsys and ncu see those.
METRICS: Mapping[int, str] = {
    2: "sm_percent",  # NVML_GPM_METRIC_SM_UTIL
    3: "sm_occupancy_percent",  # NVML_GPM_METRIC_SM_OCCUPANCY
    5: "tensor_percent",  # NVML_GPM_METRIC_ANY_TENSOR_UTIL
    10: _DRAM,  # NVML_GPM_METRIC_DRAM_BW_UTIL
}
SOURCE = "NVML GPM"
# A reading covers so many calls. An H200 renews its counters ten times a second, as we ask: between
# two calls they had stood still in one reading of ten, and moved twice in another.
SPAN = 3
_VERSION = 1  # NVML_GPM_METRICS_GET_VERSION
_NEEDS = "NVML's GPM needs a Hopper GPU or later"


class Asks(Protocol):
    """NVML: see sut.telemetry.nvml.Nvml."""

    def ask(self, function: str, *arguments: object) -> Any:
        """Return an answer; None without one."""


class Gpm:
    """The GPM of one GPU. One thread at a time may read it.

    Attributes:
        source: SOURCE if the GPU has it, else None.
        why_not: in words, if it has not.
    """

    def __init__(self, nvml: Asks, handle: object) -> None:
        self._nvml = nvml
        self._handle = handle
        self._samples: deque[object] = deque()  # the oldest first
        self._spare: object = None
        support = nvml.ask("nvmlGpmQueryDeviceSupport", handle)
        has = support is not None and bool(support.isSupportedDevice)
        self.source = SOURCE if has else None
        self.why_not = "" if has else _NEEDS

    def read(self) -> dict[str, float]:
        """Return the average of each metric since SPAN calls ago, in percent.

        One that this GPU does not report is absent. So are all in the first call, and while the
        counters stand still. NVML asks for 100 ms or more between two calls.
        """
        if self.source is None:
            return {}
        sample = self._spare or self._nvml.ask("nvmlGpmSampleAlloc")
        if sample is None or self._nvml.ask("nvmlGpmSampleGet", self._handle, sample) is None:
            self._spare = sample
            return {}
        self._samples.append(sample)
        found = {} if len(self._samples) == 1 else self._between(self._samples[0], sample)
        self._spare = self._samples.popleft() if len(self._samples) > SPAN else None
        # Even an idle GPU moves something, so none at all is no reading.
        return {} if found.get(_DRAM) == 0 else found

    def _between(self, before: object, after: object) -> dict[str, float]:
        wanted = self._nvml.ask("c_nvmlGpmMetricsGet_t")
        if wanted is None:
            return {}
        wanted.version, wanted.numMetrics = _VERSION, len(METRICS)
        wanted.sample1, wanted.sample2 = before, after
        for place, number in enumerate(METRICS):
            wanted.metrics[place].metricId = number
        answer = self._nvml.ask("nvmlGpmMetricsGet", wanted)
        if answer is None:
            return {}
        return {
            name: float(answer.metrics[place].value)
            for place, name in enumerate(METRICS.values())
            if not answer.metrics[place].nvmlReturn
        }
