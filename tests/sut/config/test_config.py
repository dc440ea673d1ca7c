"""Settings: command line > system file > benchmark > default, each with its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from scenarios.base import Load
from sut.base.environment import cores
from sut.base.errors import ConfigError
from sut.config.arguments import Arguments
from sut.config.harness import Setting
from sut.config.plan import Plan, resolve
from tests.sut.helpers.own import write_yaml


@dataclass
class Files:
    """A benchmark and a system that a test writes as it needs them."""

    folder: Path
    benchmark: dict[str, object] = field(default_factory=dict)
    system: dict[str, object] = field(default_factory=dict)

    def resolve(self, scenario: str = "Server", **arguments: object) -> Plan:
        """Resolve a scenario with these files and these fields of Arguments."""
        return self.resolve_with(arguments, scenario)

    def resolve_with(self, arguments: Mapping[str, object], scenario: str = "Server") -> Plan:
        """See resolve."""
        benchmark = write_yaml(self.folder / "own.yaml", **self.benchmark)
        machine = self.folder / "machine"
        machine.mkdir(exist_ok=True)
        content = {"description": "of the tests", **self.system}
        (machine / "system.yaml").write_text(yaml.safe_dump(content), "utf-8")
        words = {"system": str(machine), **arguments}
        return resolve(Arguments(str(benchmark), scenario, **words))  # type: ignore[arg-type]  # a test's own words

    def write(self, name: str, text: str) -> Path:
        """Write a file beside the system's."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        return path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """An empty system, and the own benchmark."""
    return Files(tmp_path)


def test_without_any_setting_the_defaults_hold(files: Files) -> None:
    plan = files.resolve()

    assert plan.harness.backend == "onnxruntime"
    assert plan.harness.devices == ("cpu",)
    assert plan.settings["max_batch_size"].source == "default"


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("Server", "thread"),
        ("Offline", "thread"),
        ("SingleStream", "inline"),
        ("MultiStream", "inline"),
    ],
)
def test_the_scenario_chooses_the_kind_of_worker(files: Files, scenario: str, kind: str) -> None:
    plan = files.resolve(scenario)

    assert plan.harness.workers == kind
    assert plan.settings["workers"].source == "scenario"


def test_engines_on_a_gpu_run_in_processes(files: Files) -> None:
    found = {
        name: files.resolve(name, backend="torch", devices=("0",)).harness.workers
        for name in ("Server", "Offline", "SingleStream")
    }

    assert found == dict.fromkeys(found, "process")


@pytest.mark.parametrize(("scenario", "cap"), [("SingleStream", 1), ("MultiStream", 8)])
def test_a_closed_loop_batches_no_more_than_a_query(files: Files, scenario: str, cap: int) -> None:
    plan = files.resolve(scenario, backend="torch", devices=("0",))

    assert plan.harness.max_batch_size == cap
    assert plan.settings["max_batch_size"].source == "scenario"
    assert plan.harness.backend_options == {"graph_sizes": cap}  # no other size is compiled


@pytest.mark.parametrize("scenario", ["Server", "Offline"])
def test_warm_up_chooses_the_batch_of_a_gpu(files: Files, scenario: str) -> None:
    plan = files.resolve(scenario, backend="torch", devices=("0",))

    assert plan.harness.chooses_batch
    assert plan.harness.slots == 2
    assert plan.settings["max_batch_size"] == Setting("auto", "scenario")
    held = files.resolve(scenario, backend="torch", devices=("0",), max_batch_size=16)
    assert (held.harness.chooses_batch, held.harness.max_batch_size) == (False, 16)


@pytest.mark.parametrize(("side", "most"), [(64, 256), (800, 32), (20_000, 1)])
def test_warm_up_tries_no_batch_of_more_than_256_mib(files: Files, side: int, most: int) -> None:
    files.benchmark["input"] = {"name": "x", "shape": [3, side, side]}

    plan = files.resolve("Server", max_batch_size="auto")

    assert plan.harness.max_batch_size == most


def test_pixels_which_become_floats_make_no_larger_batch_fit(files: Files) -> None:
    files.benchmark["input"] = {"name": "x", "shape": [3, 800, 800], "layout": "NCHW"}

    plan = files.resolve("Server", max_batch_size="auto", pixels=True)

    assert plan.benchmark.inputs[0].dtype == "uint8"
    assert plan.harness.max_batch_size == 32


def test_a_batch_is_closed_late_unless_a_delay_is_given(files: Files) -> None:
    assert files.resolve().harness.max_queue_delay_ns is None
    assert files.resolve(max_queue_delay_us=2000).harness.max_queue_delay_ns == 2_000_000


# From the weakest layer to the strongest: what sets the batch size there, and its source.
Layer = tuple[Callable[[Files], dict[str, object]], str]


def in_benchmark(files: Files) -> dict[str, object]:
    files.benchmark["harness"] = {"Server": {"max_batch_size": 11}}
    return {}


def in_system(files: Files) -> dict[str, object]:
    files.system["harness"] = {"max_batch_size": 12}
    return {}


def in_system_for_this_run(files: Files) -> dict[str, object]:
    files.system["benchmarks"] = {"own": {"Server": {"max_batch_size": 13}}}
    return {}


def on_command_line(files: Files) -> dict[str, object]:
    return {"max_batch_size": 14}


LAYERS: tuple[Layer, ...] = (
    (in_benchmark, "benchmark own"),
    (in_system, "machine/system.yaml, harness"),
    (in_system_for_this_run, "machine/system.yaml, own, Server"),
    (on_command_line, "command line"),
)


@pytest.mark.parametrize("strongest", range(len(LAYERS)))
def test_the_strongest_layer_decides(files: Files, strongest: int) -> None:
    words: dict[str, object] = {}
    for layer, _ in LAYERS[: strongest + 1]:
        words |= layer(files)

    setting = files.resolve_with(words).settings["max_batch_size"]

    assert (setting.value, setting.source) == (11 + strongest, LAYERS[strongest][1])


def test_a_layer_for_another_scenario_says_nothing(files: Files) -> None:
    for layer in (in_benchmark, in_system_for_this_run):
        layer(files)

    assert files.resolve("Offline").settings["max_batch_size"].source == "default"


def test_options_of_the_backend_are_merged_by_name(files: Files) -> None:
    files.benchmark["harness"] = {"Server": {"backend_options": {"a": 1, "b": 1, "c": 1}}}
    files.system["harness"] = {"backend_options": {"b": 2, "c": 2}}

    setting = files.resolve(backend_options={"c": 3}).settings["backend_options"]

    assert setting.value == {"a": 1, "b": 2, "c": 3}
    assert setting.source == "command line, machine/system.yaml, harness, benchmark own"


def test_the_system_names_backend_and_devices(files: Files) -> None:
    files.system |= {"backend": "null", "devices": ["0", "1"]}

    plan = files.resolve(devices=("2",))

    assert (plan.harness.backend, plan.settings["backend"].source) == (
        "null",
        "machine/system.yaml",
    )
    assert (plan.harness.devices, plan.settings["devices"].source) == (("2",), "command line")


def test_workers_have_names_that_tell_them_apart(files: Files) -> None:
    plan = files.resolve(devices=("0", "1"), instances=2)

    named = [name for name, _ in plan.harness.worker_devices()]

    assert named == [
        "device 0, instance 0", "device 0, instance 1", "device 1, instance 0",
        "device 1, instance 1",
    ]  # fmt: skip


def test_user_conf_wins_over_the_round_and_names_its_line(files: Files) -> None:
    files.write("machine/user.conf", "# the machine's\n*.Server.min_duration = 1000\n")

    plan = files.resolve(load=Load())
    found = plan.loadgen_settings(12)

    assert found["min_duration"].value == 1000
    assert found["min_duration"].source.endswith("machine/user.conf:2")
    assert (found["target_latency"].value, found["target_latency"].source) == (
        5000, "round current",
    )  # fmt: skip


def test_a_user_conf_of_the_command_line_replaces_the_system_s(files: Files) -> None:
    files.write("machine/user.conf", "*.Server.target_qps = 1\n*.Server.min_duration = 5\n")
    mine = files.write("mine.conf", "*.Server.target_qps = 2\n")

    found = files.resolve(user_conf=mine).loadgen_settings(12)

    assert found["target_qps"].value == 2
    assert found["min_duration"].source == "round current"


def test_a_user_conf_of_the_open_division_is_named(files: Files) -> None:
    mine = files.write("mine.conf", "*.Server.target_latency = 20000\n")

    assert files.resolve().closed_problems() == []
    (problem,) = files.resolve(user_conf=mine).closed_problems()
    assert problem.startswith(f"{mine}:1: *.Server.target_latency = 20000")


def test_k7_a_harmless_line_of_a_user_conf_is_refused_only_if_the_user_wants_it(
    files: Files,
) -> None:
    mine = files.write(
        "mine.conf",
        "*.Server.performance_sample_count = 64\n*.Server.performance_sample_count_override = 64\n",
    )

    plan = files.resolve(user_conf=mine)

    assert plan.file is not None
    assert len(plan.file.warnings) == 1
    assert plan.file.warnings[0].startswith(f"{mine}:1: performance_sample_count has no effect")
    with pytest.raises(ConfigError, match="has no effect"):
        files.resolve(user_conf=mine, strict_conf=True)


MISTAKES: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "workers": ({"workers": "threads"}, ('"threads"', "command line", 'mean "thread"?')),
    "batch size": ({"max_batch_size": 0}, ("max_batch_size is 0", "command line", "at least 1")),
    "delay": ({"max_queue_delay_us": -1}, ("max_queue_delay_us is -1", "or late")),
    "slots": ({"slots": 0}, ("slots is 0", "at least 1")),
    "threads": ({"postprocess_threads": 0}, ("postprocess_threads is 0", "or auto")),
    "instances": ({"instances": 0}, ("instances is 0", "at least 1")),
    "inline": ({"workers": "inline", "instances": 2}, ("inline", "2 instance(s)", "thread")),
    "round": ({"round": "v0.6"}, ('round "v0.6"', "v0.5")),
    "system": ({"system": "defalt"}, ('"defalt"', 'mean "default"?')),
    "affinity": ({"affinity": "0-3"}, ("--affinity", '"0-3"', "DEVICES:CORES")),
    "device twice": ({"devices": ("cpu", "cpu")}, ("devices", "cpu")),
    "empty device": ({"devices": ("0", "")}, ("devices",)),
    "rate that is no number": ({"load": Load(target_qps=float("nan"))}, ("target_qps", "nan")),
    "rate without end": ({"load": Load(target_qps=float("inf"))}, ("target_qps", "inf")),
    "duration that is no number": (
        {"load": Load(min_duration_s=float("nan"))}, ("min_duration_s", "nan"),
    ),
    "no queries": ({"load": Load(min_query_count=0)}, ("min_query_count is 0", "1 or more")),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_before_anything_runs(files: Files, name: str) -> None:
    words, says = MISTAKES[name]

    with pytest.raises(ConfigError) as caught:
        files.resolve_with(words)

    assert [part for part in says if part not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_a_rate_is_refused_where_the_engine_sets_the_pace(files: Files) -> None:
    with pytest.raises(ConfigError, match="target_qps"):
        files.resolve("SingleStream", load=Load(target_qps=10))


def test_an_unknown_key_of_a_system_names_its_line(files: Files) -> None:
    files.system["harnes"] = {}

    with pytest.raises(ConfigError, match=r'system\.yaml:\d+: .*"harness"'):
        files.resolve()


def test_a_scenario_that_a_system_misspells_is_refused(files: Files) -> None:
    files.system["benchmarks"] = {"own": {"server": {"slots": 2}}}

    with pytest.raises(ConfigError, match='"Server"'):
        files.resolve()


def test_a_bound_that_loadgen_cannot_read_is_refused(files: Files) -> None:
    with pytest.raises(ConfigError, match=r"whole number"):
        files.resolve(load=Load(target_latency_ms=1.5))


def test_an_engine_a_core_is_for_the_cpu_alone(files: Files) -> None:
    files.benchmark = {"harness": {"Server": {"instances": "cores"}}}

    assert files.resolve().harness.instances == cores()
    assert files.resolve(devices=("0", "1")).harness.instances == 1
    assert files.resolve(workers="inline").harness.instances == 1
    assert files.resolve(instances=3).harness.instances == 3


def test_the_defaults_of_a_benchmark_are_for_the_default_backend(files: Files) -> None:
    files.benchmark = {"harness": {"Server": {"instances": 2, "max_batch_size": 3}}}

    harness = files.resolve(backend="null").harness

    assert (harness.instances, harness.max_batch_size) == (1, 8)
