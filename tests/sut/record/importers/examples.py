"""Small files in the form of other tools; the figures are made up."""

from __future__ import annotations

import json

PERF_ANALYZER = """\
Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,\
Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,p50 latency,\
p90 latency,p95 latency,p99 latency
1,100.5,10,200,30,40,9000,50,5,9300,9400,9500,9900
4,180,11,201,12000,41,9100,51,6,21000,22000,23000,24000
2,190.25,12,202,600,42,9200,52,7,10000,10100,10200,10300
"""
VERBOSE = """\
Request Rate,Inferences/Second,Response Throughput,Client Send,Client Recv,p50 latency,p99 latency,\
Avg latency,request/response,response wait,Avg GPU Utilization,Avg GPU Power Usage,\
Max GPU Memory Usage,Total GPU Memory
50,49.9,49.9,10,5,800,900,820,15,805,GPU-a:0.5;GPU-b:0.6;,GPU-a:50.5;GPU-b:60;,\
GPU-a:1000;GPU-b:2000;,GPU-a:9000;GPU-b:9000;
"""
STUDY = """\
#### Offline: some GPU

| Parameter Name | Parameter Value |
|:---|:---|
| GPU | NVIDIA X |
| Backend | NVIDIA TensorRT |
| Dataset | electricity |

|   Batch |   Concurrency |   Inferences/Second |   Client Send (ms) |   Server Queue (ms) |\
   p99 latency (ms) |   avg latency (ms) |
|--------:|--------------:|--------------------:|-------------------:|--------------------:|\
-------------------:|-------------------:|
|       1 |             1 |               500.0 |                0.1 |                 0.2 |\
                2.5 |                2.0 |
|       2 |             1 |               800.0 |                0.1 |                 0.2 |\
                2.9 |                2.0 |
"""
INFERENCE = """\
Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,Satisfies Constraints,\
Throughput (infer/sec),p99 Latency (ms),RAM Usage (MB)
add,2,4,add_config_1,2:GPU,8,Yes,1000.0,2.5,300.0
add,1,4,add_config_1,2:GPU,8,No,600.0,1.5,300.0
sub,1,4,sub_config_0,1:GPU,8,Yes,700.0,1.0,300.0
"""
GPUS = """\
Model,GPU UUID,Batch,Concurrency,Model Config Path,Instance Group,Satisfies Constraints,\
GPU Memory Usage (MB),GPU Utilization (%),GPU Power Usage (W)
add,GPU-a,1,4,add_config_1,2:GPU,Yes,900.0,90.0,60.0
add,GPU-b,1,4,add_config_1,2:GPU,Yes,100.0,90.0,40.5
"""
_OPTIONS = """\
&&&& RUNNING TensorRT.trtexec [TensorRT {version}] # trtexec --loadEngine=m.plan{options}
[07/14/2026-11:55:18] [I] === Inference Options ===
[07/14/2026-11:55:18] [I] Batch: {implicit}
[07/14/2026-11:55:18] [I] {streams}: 1
[07/14/2026-11:55:18] [I] Data transfers: Enabled
[07/14/2026-11:55:18] [I] CUDA Graph: Disabled
[07/14/2026-11:55:18] [I] === Device Information ===
[07/14/2026-11:55:18] [I] Selected Device: Tesla T4
[07/14/2026-11:55:18] [I]
[07/14/2026-11:55:18] [I] TensorRT version: 8.6.1
{binding}[07/14/2026-11:55:21] [I] Timing trace has 126 queries over 3.0734 s
[07/14/2026-11:55:21] [I]
[07/14/2026-11:55:21] [I] === Trace details ===
[07/14/2026-11:55:21] [I]
"""
_SUMMARY = """\
[07/14/2026-11:55:21] [I] === Performance summary ===
[07/14/2026-11:55:21] [I] Throughput: 40.5 qps
[07/14/2026-11:55:21] [I] Latency: min = 31.7 ms, max = 36.7 ms, mean = 34.5 ms, median = 34.25 ms\
{percentiles}
[07/14/2026-11:55:21] [I] Enqueue Time: min = 0.5 ms, max = 1.2 ms, mean = 0.7 ms, median = 0.7 ms
[07/14/2026-11:55:21] [I] H2D Latency: min = 6.7 ms, max = 6.8 ms, mean = 6.75 ms, median = 6.7 ms
[07/14/2026-11:55:21] [I] GPU Compute Time: min = 20.9 ms, max = 25.8 ms, mean = 23.75 ms, \
median = 23.7 ms
[07/14/2026-11:55:21] [I] D2H Latency: min = 4.0 ms, max = 4.1 ms, mean = 4.0 ms, median = 4.0 ms
[07/14/2026-11:55:21] [I] Total Host Walltime: 3.0734 s
[07/14/2026-11:55:21] [I] Total GPU Compute Time: 3.00431 s
[07/14/2026-11:55:21] [W] * GPU compute time is unstable, with coefficient of variance = 7.2%.
[07/14/2026-11:55:21] [V] === Explanations of the performance metrics ===
[07/14/2026-11:55:21] [V] Total Host Walltime: the host walltime from the first query.
&&&& PASSED TensorRT.trtexec [TensorRT v8601] # trtexec --loadEngine=m.plan
"""


def trtexec(  # noqa: PLR0913 - what the versions differ in
    version: str = "v8601",
    options: str = "",
    implicit: str = "Explicit",
    streams: str = "Streams",
    binding: str = "",
    percentiles: str = ", percentile(90%) = 35 ms, percentile(99%) = 36.5 ms",
) -> str:
    """Return the output of one run of trtexec."""
    names = {"version": version, "options": options, "implicit": implicit, "streams": streams}
    stamp = "[07/14/2026-11:55:20] [I] "
    shown = f"{stamp}{binding}\n" if binding else ""
    return _OPTIONS.format(**names, binding=shown) + _SUMMARY.format(percentiles=percentiles)


def times(queries: int = 100, query_ms: float = 2.0) -> str:
    """Return a file of --exportTimes: queries of equal length, one after the other."""
    lines = []
    for k in range(queries):
        start = 5000 + k * query_ms
        known = {
            **{"startEnqMs": start, "endEnqMs": start + 0.1, "startH2dMs": start},
            **{"endH2dMs": start + 0.5, "startComputeMs": start + 0.5},
            **{"endComputeMs": start + query_ms - 0.25, "startD2hMs": start + query_ms - 0.25},
            **{"endD2hMs": start + query_ms, "h2dMs": 0.5, "computeMs": query_ms - 0.75},
            **{"d2hMs": 0.25, "latencyMs": query_ms},
        }
        lines.append(json.dumps(known))
    return "[\n  " + "\n, ".join(lines) + "\n]\n"


SUMMARY = """\
================================================
MLPerf Results Summary
================================================
SUT name : PySUT
Scenario : {scenario}
Mode     : {mode}
{result}
Result is : {verdict}
  Min duration satisfied : Yes
================================================
Additional Stats
================================================
{more}Mean latency (ns)               : 700000
50.00 percentile latency (ns)   : 600000
99.00 percentile latency (ns)   : 900000
99.90 percentile latency (ns)   : 950000
================================================
Test Parameters Used
================================================
samples_per_query : 4000
target_qps : 50
"""


def summary(
    scenario: str = "Offline",
    result: str = "Samples per second: 1234.5",
    verdict: str = "VALID",
    mode: str = "PerformanceOnly",
    more: str = "",
) -> str:
    """Return the text of mlperf_log_summary.txt."""
    return SUMMARY.format(scenario=scenario, result=result, verdict=verdict, mode=mode, more=more)
