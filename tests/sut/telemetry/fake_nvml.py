"""What NVML answers, written by hand: a T4 at its power limit, and errors where a T4 has none."""

from __future__ import annotations

from types import SimpleNamespace

NOT_SUPPORTED = 3
MIB = 1 << 20

ANSWERS: dict[str, object] = {
    "nvmlSystemGetDriverVersion": "535.1",
    "nvmlDeviceGetCount": 2,
    "nvmlDeviceGetName": "Tesla T4",
    "nvmlDeviceGetPciInfo": SimpleNamespace(domain=0, bus=0x3B, device=0),
    "nvmlDeviceGetCudaComputeCapability": (7, 5),
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=15360 * MIB, used=900 * MIB),
    "nvmlDeviceGetEccMode": [1, 1],
    "nvmlDeviceGetEnforcedPowerLimit": 70_000,
    "nvmlDeviceGetPowerManagementDefaultLimit": 70_000,
    "nvmlDeviceGetTemperature": 61,
    "nvmlDeviceGetTemperatureThreshold": 93,
    "nvmlDeviceGetCurrentClocksThrottleReasons": 0x4,
    "nvmlDeviceGetCurrPcieLinkGeneration": 3,
    "nvmlDeviceGetMaxPcieLinkGeneration": 3,
    "nvmlDeviceGetCurrPcieLinkWidth": 8,
    "nvmlDeviceGetMaxPcieLinkWidth": 16,
    "nvmlDeviceGetMemoryAffinity": [0b10],
    "nvmlDeviceGetCpuAffinity": [0b1111_0000_0000_0001, 0b1],
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=98, memory=60),
    "nvmlDeviceGetPowerUsage": 69_500,
    "nvmlDeviceGetTotalEnergyConsumption": 123_456_000,
    "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=1, usedGpuMemory=300 * MIB)],
}
CLOCKS = {"ClockInfo": (585, 5000), "MaxClockInfo": (1590, 5001), "ApplicationsClock": (585, 5001)}


def field(kind: int, value: int, status: int = 0) -> SimpleNamespace:
    """Return one value of nvmlDeviceGetFieldValues; the union's other members hold rubbish."""
    members = {"uiVal": 7, "ulVal": 7, "ullVal": 7}
    members[{1: "uiVal", 2: "ulVal", 3: "ullVal"}[kind]] = value
    return SimpleNamespace(valueType=kind, nvmlReturn=status, value=SimpleNamespace(**members))


class FakeNvml:
    """The functions of the package. A handle is the GPU's index, or "by UUID"."""

    class NVMLError(Exception):
        pass

    def __init__(self, **changes: object) -> None:
        self.answers = {**ANSWERS, **changes}

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:
        if uuid != "GPU-1":
            raise self.NVMLError(NOT_SUPPORTED)
        return 1

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"

    def __getattr__(self, name: str) -> object:
        clocks = CLOCKS.get(name.removeprefix("nvmlDeviceGet"))

        def answer(*arguments: object) -> object:
            if clocks is not None:
                return clocks[int(str(arguments[1])) - 1]
            found = self.answers.get(name)
            if found is None:
                raise self.NVMLError(NOT_SUPPORTED)
            return found

        return answer
