"""Two processes with one thread each beside one process with two: steps of a training, and a batch of models to
decompose; and the bytes that a step sends. Called by scripts/bench.sh processes."""

import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

from bench_common import arguments, keep, steady_rate, table
from bench_decompose import write_layer
from bench_waiting import CONTEXT, TRAINING

MODELS, SIZE, DIRECTIONS = 8, (512, 1536), 96
STEPS = 20


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def start(options, *words, **variables):
    command = [str(word) for word in (options.bilens, *words, "--quiet", "--device", "cpu")]
    return subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL)


def ended(processes):
    for process in processes:
        if process.wait() != 0:
            sys.exit(f"bilens ended with {process.returncode}")


def sent():
    """Bytes that went over the loopback interface so far."""
    lines = pathlib.Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split()[9]) for line in lines if line.strip().startswith("lo:"))


def training(options, folder, processes):
    """Seconds of a step, and bytes that it sends."""
    config, run, port = folder / "training.json", folder / f"run-{processes}", free_port()
    before = sent()
    ended(
        [
            start(
                options, "train", config, "--out", run, "--threads", 2 // processes,
                RANK=str(rank), WORLD_SIZE=str(processes), LOCAL_WORLD_SIZE=str(processes), MASTER_PORT=str(port),
            )
            for rank in range(processes)
        ]
    )  # fmt: skip
    tokens = TRAINING["train"]["batch_size"] * CONTEXT
    seconds = tokens / steady_rate(run, tokens)
    subprocess.run(["rm", "-r", run], check=True)
    return seconds, (sent() - before) / STEPS


def batch(options, folder, processes):
    """Seconds of the whole."""
    out = folder / f"out-{processes}"
    directions = json.dumps({"kind": "file", "path": str(folder / "0/directions.safetensors"), "tensor": "u"})
    sets = ["--gate", "none", "--set", "weights.down=identity", "--set", f"directions={directions}"]
    begin = time.perf_counter()
    ended(
        [
            start(
                options, "decompose", *(folder / f"{i}/layer.safetensors" for i in range(MODELS)), "--out", out,
                "--resume", "--threads", 2 // processes, *sets,
            )
            for _ in range(processes)
        ]
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    subprocess.run(["rm", "-r", out], check=True)
    return seconds


def main():
    options = arguments(__doc__).parse_args()
    found = {name: {1: [], 2: []} for name in ("step", "batch")}
    bytes_sent = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = folder / "tokens.bin"
        data.write_bytes(numpy.random.default_rng(0).integers(3, 512, 300_000).astype("<u2").tobytes())
        about = {"dataset": "tokens", "path": str(data), "context": CONTEXT, "packing": "plain", "held_out": 0.0}
        train = {**TRAINING["train"], "steps": STEPS}
        (folder / "training.json").write_text(json.dumps({**TRAINING, "train": train, "data": about}))
        for i in range(MODELS):
            (folder / str(i)).mkdir()
            write_layer(folder / str(i), *SIZE, DIRECTIONS, "random")
        for number in range(options.rounds):
            for processes in (1, 2):
                seconds, each = training(options, folder, processes)
                found["step"][processes].append(seconds)
                if processes == 2:
                    bytes_sent.append(each)
                found["batch"][processes].append(batch(options, folder, processes))
            print(f"round {number + 1} of {options.rounds} done", flush=True)
    rows = []
    for what, label, unit in (
        ("step", "a training step, dim 64, 5 layers, 16 × 512", 1e3),
        ("batch", f"decompose {MODELS} layers of {SIZE[0]} × {SIZE[1]}, {DIRECTIONS} directions each", 1),
    ):
        one, two = (statistics.median(found[what][processes]) for processes in (1, 2))
        shown = [f"{unit * seconds:,.0f} ms" if unit > 1 else f"{seconds:,.1f} s" for seconds in (one, two)]
        rows.append((label, *shown, f"{one / two:.2f}"))
    head = ("what", "one process, two threads", "two processes, one thread each", "speed ratio")
    parameters = 2 * 64 * 512 + 5 * (64 * 64 * 3 + 3 * 64 * 172 + 2 * 64) + 64
    text = (
        f"\nBoth processes of a training send {statistics.median(bytes_sent) / 1e6:.2f} MB a step over the network, "
        f"all that is said beside the gradients included. By count it is {2 * 4 * parameters / 1e6:.2f} MB: "
        f"{parameters:,} numbers of four bytes, each sent once by each.\n"
    )
    keep("processes", options, table(head, rows) + text)


if __name__ == "__main__":
    main()
