"""Where the processes of compared devices come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from data.tasks.other import Raw
from sut.config.workload import Workload
from sut.sweep.devices import starts
from sut.sweep.devices.starts import Starts
from sut.sweep.tries.attempt import TryRequest
from sut.sweep.tries.group import supervised

if TYPE_CHECKING:
    import pytest

    from sut.run.nursery import Imports

WORKLOAD = Workload("b", "b", None, (), None, Raw(), 1)


@dataclass
class Nursed:
    """Stands for a WarmStart."""

    imports: Imports
    open: list[str] = field(default_factory=list)

    def __enter__(self) -> Nursed:
        OPEN.append(self.imports.backend)
        return self

    def __exit__(self, *_: object) -> None:
        OPEN.remove(self.imports.backend)

    def launch(self) -> None:
        """Never called."""

    def busy_s(self) -> float:
        return 1.5


OPEN: list[str] = []


def request(backend: str, device: str) -> TryRequest:
    return TryRequest("out", WORKLOAD, backend, 1, "act", device=device)


def test_a_nursery_begins_with_the_first_point_that_is_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starts, "WarmStart", lambda imports, say: Nursed(imports))
    with Starts(print) as made:
        on_cpu = made.of(request("torch", "cpu"))
        other = made.of(request("onnxruntime", "0"))
        before, busy_s = list(OPEN), made.busy_s()
        first, second = made.of(request("torch", "0")), made.of(request("torch", "1"))

        assert on_cpu is supervised
        assert other is supervised
        assert (before, busy_s) == ([], 0.0)
        assert first == second != supervised
        assert (OPEN, made.busy_s()) == (["torch"], 1.5)
    assert OPEN == []
