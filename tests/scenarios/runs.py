"""The LoadGen runs that several tests look at: one VALID of each scenario, and the ways to fail.

Bounds are far from what the system does, so that a busy machine changes no verdict.
"""

from __future__ import annotations

from dataclasses import replace

from tests.scenarios.real_loadgen import Run

VALID = {
    "SingleStream": Run(
        "SingleStream", (("min_duration", 50), ("target_latency", 0.05)), query_s=0.0002
    ),
    "MultiStream": Run(
        "MultiStream", (("min_duration", 50), ("target_latency", 0.05)), query_s=0.0001
    ),
    "Server": Run(
        "Server", (("min_duration", 300), ("target_qps", 3000), ("target_latency", 2000))
    ),
    "Offline": Run(
        "Offline",
        (("min_duration", 50), ("target_qps", 2000), ("min_query_count", 1)),
        sample_s=0.0005,
    ),
}

ACCURACY = {
    name: Run(name, (("target_qps", 20000),) if name == "Server" else (), accuracy=True)
    for name in VALID
}

# Every way to be INVALID, by the words that its reason must hold.
INVALID = {
    # A run that is too short ends when its queries do, after 0.3 s. On a busy machine 70 queries
    # that take 0.08 s once took 0.27: min_duration is so long that no such stall fills it.
    "SingleStream ran out of its": Run(
        "SingleStream",
        (("min_duration", 3000), ("target_latency", 50), ("min_query_count", 280)),
        query_s=0.001,
    ),
    "MultiStream ran out of its": Run(
        "MultiStream",
        (
            ("min_duration", 3000),
            ("target_latency", 50),
            ("min_query_count", 280),
            ("target_latency_percentile", 90),  # so that these are enough
        ),
        query_s=0.001,
    ),
    "SingleStream Too few queries": Run(
        "SingleStream",
        (("min_duration", 10), ("min_query_count", 10), ("target_latency", 0.1)),
        query_s=0.001,
    ),
    "MultiStream Too few queries": Run(
        "MultiStream",
        (("min_duration", 10), ("min_query_count", 10), ("target_latency", 0.1)),
        query_s=0.001,
    ),
    "SingleStream max_duration of": Run(
        "SingleStream",
        (("min_duration", 500), ("max_duration", 40), ("target_latency", 0.1)),
        query_s=0.0002,
    ),
    "MultiStream max_query_count of": Run(
        "MultiStream", (("min_duration", 20), ("max_query_count", 100)), query_s=0.0001
    ),
    "Server max_query_count of": Run(
        "Server",
        (
            ("min_duration", 10),
            ("target_qps", 1000),
            ("max_query_count", 1),
            ("target_latency", 2000),
        ),
    ),
    "Server max_duration of": Run(
        "Server",
        (
            ("min_duration", 400),
            ("max_duration", 250),
            ("target_qps", 3000),
            ("target_latency", 2000),
        ),
    ),
    "Server More than max_async_queries": Run(
        "Server",
        (("min_duration", 100), ("target_qps", 3000), ("max_async_queries", 20)),
        late_every=1,
        late_s=0.15,
    ),
    "Server even the fastest took": Run(
        "Server",
        (("min_duration", 50), ("target_qps", 1000), ("target_latency", 1)),
        query_s=0.002,
    ),
    "Server Latency bound missed": Run(
        "Server",
        (("min_duration", 300), ("target_qps", 1000), ("target_latency", 200)),
        late_every=10,
        late_s=0.25,
    ),
    "Server The engine completed": Run(
        "Server",
        (("min_duration", 100), ("target_qps", 1500), ("target_latency", 50)),
        query_s=0.003,
    ),
    "Server too few queries for a verdict": Run(
        "Server", (("min_duration", 100), ("target_qps", 1500), ("target_latency", 2000))
    ),
    "Server Early stopping not met": Run(
        "Server",
        (("min_duration", 500), ("target_qps", 2000), ("target_latency", 600)),
        late_every=125,
        late_s=0.7,
    ),
    "Offline Too short": Run(
        "Offline",
        (("min_duration", 4000), ("target_qps", 100), ("min_query_count", 1)),
        sample_s=0.0005,
    ),
}

# VALID for LoadGen, which does not look at its own errors; not for a submission checker.
VALID_WITH_ERROR = replace(VALID["SingleStream"], configs=2)
