"""A synthetic benchmark_model: it is not LiteRT's, and imitates the documented output of one so that the driver can be tested.

$SYNTHETIC_BENCHMARK_MODEL holds JSON of the ways in which it behaves; without it, as a build of 2026. It computes outputs with the
LiteRT of the Python that runs it, and its times are made up.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from pathlib import Path

WARMUP = [80.0, 61.0, 55.0]
TIMED = [50.0, 52.0, 51.0, 55.0, 53.0, 60.0, 52.0, 51.0, 54.0, 210.0]
OLD, NEW = "old", "new"


def statistics(samples, style):
    """The statistics of one series as a build prints them; `old` has no percentiles."""
    ordered = sorted(samples)
    percentiles = [ordered[len(ordered) * p // 100] if ordered else 0 for p in (5, 50, 95)]
    tail = "" if style == OLD else " p5={:g} median={:g} p95={:g}".format(*percentiles)
    if not samples:
        return "count=0" + tail
    if min(samples) == max(samples):
        return f"count={len(samples)} curr={samples[-1]:g}" + ("(all same)" if len(samples) > 1 else "") + tail
    mean = sum(samples) / len(samples)
    deviation = (sum((s - mean) ** 2 for s in samples) / len(samples)) ** 0.5
    numbers = (samples[0], samples[-1], min(samples), max(samples), mean, deviation)
    return f"count={len(samples)} " + "first={:g} curr={:g} min={:g} max={:g} avg={:g} std={:g}".format(*numbers) + tail


def field(number, value):
    """One field of a protobuf: bytes, an int as a varint, or a float."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    return varint(number << 3 | 5) + struct.pack("<f", value)


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def result_file(timed, warmup, memory=True):
    """A BenchmarkResult."""
    ordered = sorted(timed)
    p5, median, p95 = (ordered[len(ordered) * p // 100] / 1000 for p in (5, 50, 95))
    mean = sum(timed) / len(timed) / 1000
    latency = [mean, min(timed) / 1000, max(timed) / 1000, 0.01, median, p5, p95, 1.234, warmup[0] / 1000, 0.06]
    parts = [b"".join(field(index, value) for index, value in enumerate(latency, 1))]
    parts += [field(1, 1024) + field(2, 2048) + field(3, 7.5) if memory else b""]
    parts += [field(1, 0.5) + field(2, len(timed)) + field(3, len(warmup))]
    return b"".join(field(index, part) for index, part in enumerate(parts, 2))


ROWS = [
    ("CONV_2D", 0.030, 1, "[model/conv, same]:0"),
    ("Fully Connected (NC, QS8)", 0.012, 1, "Fully Connected (NC, QS8):1"),
    ("SOFTMAX", 0.0000042, 2, "[softmax]:2"),
]
INSIDE = [
    ("Convolution (NHWC, QC8)", 0.020, 1, "Delegate/Convolution (NHWC, QC8):0"),
    ("Softmax (NC, QU8)", 0.001, 1, "Delegate/Softmax:1"),
]


def operators(rows, *, csv, start=False, inside=()):
    """The report of operators: initialization first, then the runs in order and by time, then a delegate's inside."""
    lines = ["Profiling Info for Benchmark Initialization:", *table([("AllocateTensors", 0.5, 1, "AllocateTensors/0")], csv, start), ""]
    lines += ["Operator-wise Profiling Info for Regular Benchmark Runs:", *table(rows, csv, start), ""]
    lines += table(rows[::-1], csv, start, "Top by Computation Time")
    lines += [f"Number of nodes executed: {len(rows)}", f"{'=' * 30} Summary by node type {'=' * 30}"]
    lines += ["node type, count, avg_ms, avg %, cdf %, mem KB, times called", "CONV_2D, 1, 0.03, 50%, 50%, 0, 1", ""]
    lines += ["Timings (microseconds): count=50 first=1 curr=1 min=1 max=2 avg=1.5 std=0.5", "Memory (bytes): count=0"]
    if inside:
        lines += ["Delegate internal: ", *table(inside, csv, start)]
    return "\n".join(lines) + "\n"


def table(rows, csv, start, title="Run Order"):
    lines = [f"{'=' * 30} {title} {'=' * 30}"]
    if csv:
        lines.append(f"node type, {'start, ' if start else ''}first, avg_ms, %, cdf%, mem KB, times called, name")
        return lines + [
            f"{k}, {'0.1, ' if start else ''}{ms * 1.1:g}, {ms:g}, 12.5%, 50%, 0, {calls}, {name}" for k, ms, calls, name in rows
        ]
    lines.append("\t             [node type]\t  [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]")
    return lines + [
        f"\t{k:>24}\t    0.000\t{ms * 1.1:9.6f}\t{ms:9.6f}\t 12.500%\t 50.000%\t     0.000\t        {calls}\t{name}"
        for k, ms, calls, name in rows
    ]


def said_of_delegate(flags, ways):
    """The line about the delegate that was asked for."""
    name = "GPU" if flags.get("use_gpu") == "true" else "XNNPACK" if flags.get("use_xnnpack") == "true" else ""
    how = ways.get("delegate", "whole")
    graph = "the model graph will"
    lines = {
        "whole": f"Explicitly applied {name} delegate, and {graph} be completely executed by the delegate.",
        "part": f"Explicitly applied {name} delegate, and {graph} be partially executed by the delegate w/ 2 delegate kernels.",
        "none": f"Though {name} delegate is explicitly applied, {graph} not be executed by the delegate.",
        "unsupported": f"{name} acceleration is unsupported on this platform.",
        "silent": "",
    }
    return lines[how] if name else ""


def write_outputs(flags):
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.AUTO if flags.get("use_xnnpack") == "true" else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    model = Path(flags["graph"]).read_bytes()
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    files = dict(item.split(":") for item in flags["input_layer_value_files"].split(","))
    shapes = [tuple(map(int, shape.split(","))) for shape in flags["input_layer_shape"].split(":")]
    for detail, layer, shape in zip(interpreter.get_input_details(), flags["input_layer"].split(","), shapes, strict=True):
        interpreter.set_tensor(detail["index"], np.fromfile(files[layer], detail["dtype"]).reshape(shape))
    interpreter.invoke()
    outputs = [interpreter.get_tensor(detail["index"]).tobytes() for detail in interpreter.get_output_details()]
    Path(flags["output_filepath"]).write_bytes(b"".join(outputs))


def main():
    ways = json.loads(os.environ.get("SYNTHETIC_BENCHMARK_MODEL", "{}"))
    flags = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
    old = ways.get("style") == OLD
    out = sys.stderr if old else sys.stdout

    def say(text, level="INFO"):
        print(text if old else f"{level}: {text}", file=out, flush=True)

    say("STARTING!")
    say("(synthetic_benchmark_model: not LiteRT's, its times are made up)")
    purpose = (
        "operators" if flags.get("enable_op_profiling") == "true" else "memory" if "report_peak_memory_footprint" in flags else "latency"
    )
    if "output_filepath" in flags:
        purpose = "outputs"
    for name, value in flags.items():
        if name.startswith("use_") and value not in ("true", "false"):
            say(f"Failed to parse flag '{name}' against argv '--{name}={value}'", "ERROR")
            return 1
    if ways.get("unknown"):
        say("Unconsumed cmdline flags: " + " ".join(f"--{name}={flags[name]}" for name in ways["unknown"] if name in flags), "WARN")
    if ways.get("hang") == purpose:
        time.sleep(60)
    if ways.get("fail") == purpose:
        print("ERROR: " + ways.get("reason", "Failed to allocate tensors!"), file=sys.stderr)
        print("ERROR: Benchmarking failed.", file=sys.stderr)
        return ways.get("code", 1)
    if said_of_delegate(flags, ways):
        say(said_of_delegate(flags, ways))
    timed, warmup = ways.get("timed", TIMED), ways.get("warmup", WARMUP)
    if "text" in ways and purpose == "latency":
        print(ways["text"])
    else:
        say("Initialized session in 1.234ms.")
        say(statistics(warmup, ways.get("style", NEW)) + "\n")
        say(statistics(timed, ways.get("style", NEW)) + "\n")
        mean = sum(timed) / len(timed)
        if old:
            say(f"Average inference timings in us: Warmup: 65.3, Init: 1234, no stats: {mean:g}")
        else:
            say(f"Inference timings in us: Init: 1234, First inference: {warmup[0]:g}, Warmup (avg): 65.3, Inference (avg): {mean:g}")
    if purpose == "memory":
        say("Memory footprint delta from the start of the tool (MB): init=1 overall=2")
        say("Overall peak memory footprint (MB) via periodic monitoring: 7.5")
    if "result_file_path" in flags and not old and ways.get("result") != "absent":
        data = ways["result"].encode() if "result" in ways else result_file(ways.get("written", timed), warmup)
        Path(flags["result_file_path"]).write_bytes(data)
    if purpose == "operators":
        rows = [("TfLiteXNNPackDelegate", 0.02, 1, "delegate:9"), ROWS[2]] if ways.get("inside") else ROWS
        if old:
            print(operators(rows, csv=False, start=True))
        else:
            Path(flags["op_profiling_output_file"]).write_text(operators(rows, csv=True, inside=INSIDE if ways.get("inside") else ()))
    if purpose == "outputs" and "output_filepath" not in ways.get("unknown", ()):
        write_outputs(flags)
        if ways.get("outputs") == "cut":
            Path(flags["output_filepath"]).write_bytes(b"?")
    return 0


if __name__ == "__main__":
    sys.exit(main())
