"""The rounds themselves. Vision benchmarks only; data, no code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from data.rounds.rules import BOTH, DATACENTER, EDGE, ModelRules, Round, Seeds

if TYPE_CHECKING:
    from collections.abc import Mapping

_SINGLE, _MULTI, _SERVER, _OFFLINE = "SingleStream", "MultiStream", "Server", "Offline"
_STREAMS = (_SINGLE, _MULTI, _OFFLINE)
_ALL = (*_STREAMS, _SERVER)
_ALIASES = {
    "resnet50": "resnet",
    "mobilenet": "resnet",
    "ssd-resnet34": "retinanet",
    "llama3_1-405b": "llama3.1-405b",
    "llama3_1-8b": "llama3.1-8b",
    "llama3_1-8b-edge": "llama3.1-8b-edge",
}
# Benchmarks that are not vision: only names, so that `sut check` can say that it has no rules.
_OTHERS_6_1 = frozenset(
    {
        "bert-99", "bert-99.9", "llama3.1-8b", "llama3.1-8b-edge", "llama2-70b-99.9",
        "stable-diffusion-xl", "rgat", "deepseek-r1", "whisper", "gpt-oss-120b",
        "wan-2.2-t2v-a14b", "qwen3-vl-235b-a22b", "qwen3.6-27b", "dlrm-v3", "e2e-rag-qna",
        "e2e-rag-db",
    }
)  # fmt: skip
_OTHERS_6_0 = frozenset(
    {
        "bert-99", "bert-99.9", "llama3.1-8b", "llama3.1-8b-edge", "llama2-70b-99",
        "llama2-70b-99.9", "stable-diffusion-xl", "mixtral-8x7b", "llama3.1-405b", "rgat",
        "pointpainting", "deepseek-r1", "whisper", "gpt-oss-120b", "wan-2.2-t2v-a14b",
        "qwen3-vl-235b-a22b", "dlrm-v3",
    }
)  # fmt: skip
_OTHERS_5_1 = frozenset(
    {
        "bert-99", "bert-99.9", "dlrm-v2-99", "dlrm-v2-99.9", "llama3.1-8b", "llama3.1-8b-edge",
        "llama2-70b-99", "llama2-70b-99.9", "stable-diffusion-xl", "mixtral-8x7b",
        "llama3.1-405b", "rgat", "pointpainting", "deepseek-r1", "whisper",
    }
)  # fmt: skip

_RESNET = ModelRules(
    name="resnet",
    metric="acc",
    target=76.46 * 0.99,
    performance_sample_count=1024,
    dataset_size=50_000,
    offline_samples=24_576,
    server_bound_ms=15,
    scenarios={EDGE: _STREAMS, BOTH: _ALL},
    audits=("TEST01", "TEST04"),
)
_RETINANET = ModelRules(
    name="retinanet",
    metric="mAP",
    target=37.55 * 0.99,
    performance_sample_count=64,
    dataset_size=24_781,
    offline_samples=24_576,
    server_bound_ms=100,
    scenarios={EDGE: _STREAMS, DATACENTER: (_SERVER, _OFFLINE), BOTH: _ALL},
    audits=("TEST01",),
    audit_samples=256,
)
_YOLO = ModelRules(
    name="yolo-99",
    metric="mAP",
    target=53.4 * 0.99,
    performance_sample_count=64,
    dataset_size=1_525,
    offline_samples=1_525,
    server_bound_ms=None,
    scenarios={EDGE: _STREAMS, BOTH: _STREAMS},
    audits=("TEST01",),
    audit_samples=64,
)
_UNET = ModelRules(
    name="3d-unet-99",
    metric="DICE",
    target=0.86170 * 0.99,
    performance_sample_count=43,
    dataset_size=43,
    offline_samples=43,
    server_bound_ms=None,
    scenarios={EDGE: (_SINGLE, _OFFLINE), DATACENTER: (_OFFLINE,), BOTH: (_SINGLE, _OFFLINE)},
    audits=("TEST01",),
    audit_samples=64,
)


def _by_name(*models: ModelRules) -> dict[str, ModelRules]:
    return {model.name: model for model in models}


_YOLOS = (_YOLO, replace(_YOLO, name="yolo-95", target=53.4 * 0.95))
_UNETS = (_UNET, replace(_UNET, name="3d-unet-99.9", target=0.86170 * 0.999))
# In v6.0, checkers require retinanet only on "datacenter,edge", not on a system of one type.
_RETINANET_6_0 = replace(_RETINANET, scenarios={BOTH: _ALL})


def _old(  # noqa: PLR0913 - a row of the table
    name: str, metric: str, target: float, loaded: int, dataset: int, bound_ms: int
) -> ModelRules:
    """Return a benchmark of v0.5, which required no audit and no particular scenarios."""
    return ModelRules(name, metric, target, loaded, dataset, 24_576, bound_ms, {})


ROUNDS: Mapping[str, Round] = {
    "v6.1": Round(
        name="v6.1",
        layout="flat",
        seeds=Seeds(2085463073848966840, 2747215439041700203, 16159082839903944936),
        loadgen=("6.0.16", "6.0.17"),
        min_duration_ms=600_000,
        models=_by_name(_RESNET, *_YOLOS, *_UNETS),
        aliases=_ALIASES,
        others=_OTHERS_6_1,
    ),
    "v6.0": Round(
        name="v6.0",
        layout="flat",
        seeds=Seeds(2465351861681999779, 14276810075590677512, 3936089224930324775),
        loadgen=("6.0.5", "6.0.15"),
        min_duration_ms=600_000,
        models=_by_name(_RESNET, _RETINANET_6_0, *_YOLOS, *_UNETS),
        aliases=_ALIASES,
        others=_OTHERS_6_0,
    ),
    "v5.1": Round(
        name="v5.1",
        layout="split",
        seeds=Seeds(1780908523862526354, 14771362308971278857, 18209322760996052031),
        loadgen=("5.1.0", "6.0.4"),
        min_duration_ms=600_000,
        models=_by_name(_RESNET, _RETINANET, *_UNETS),
        aliases=_ALIASES,
        others=_OTHERS_5_1,
    ),
    "v0.5": Round(
        name="v0.5",
        layout="v0.5",
        seeds=Seeds(3133965575612453542, 665484352860916858, 3622009729038561421),
        loadgen=None,
        min_duration_ms=60_000,
        models=_by_name(
            _old("resnet", "acc", 76.46 * 0.99, 1024, 50_000, 15),
            _old("mobilenet", "acc", 71.68 * 0.98, 1024, 50_000, 10),
            _old("ssd-small", "mAP", 22 * 0.99, 256, 5_000, 10),
            _old("ssd-large", "mAP", 20 * 0.99, 64, 5_000, 100),
            _old("gnmt", "bleu", 23.9 * 0.99, 3_903_900, 3_003, 250),
        ),
        aliases={
            "resnet50": "resnet",
            "ssd-mobilenet": "ssd-small",
            "ssd-resnet34": "ssd-large",
        },
        server_runs=5,
    ),
}
