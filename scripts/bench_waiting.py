"""How threads wait for each other: asleep, as bilens has them wait, beside OpenMP's default, which spins for some
milliseconds before; alone, and with one other process that computes. Called by scripts/bench.sh waiting."""

import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

from bench_common import arguments, bilens, keep, steady_rate, table
from bench_decompose import LARGE, SMALL, measure_bilens

# GNU OpenMP's own spin count where nothing is said. Said, it keeps bilens from choosing.
WAYS = {"asleep": {"OMP_WAIT_POLICY": "passive"}, "spinning": {"GOMP_SPINCOUNT": "300000"}}
TRAINING = {
    "model": {
        "type": "llama",
        "hidden_size": 64,
        "intermediate_size": 172,
        "num_hidden_layers": 5,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 512,
        "max_position_embeddings": 512,
    },
    "train": {"steps": 12, "batch_size": 16, "learning_rate": 1e-3},
}
CONTEXT = 512


def decomposing(size, count, kind):
    def seconds(options, folder):
        return count * sum(measure_bilens(options, *size, count, kind)[0].values())

    return seconds


def training(options, folder):
    """Seconds of a step."""
    data = folder / "tokens.bin"
    if not data.exists():
        data.write_bytes(numpy.random.default_rng(0).integers(3, 512, 300_000).astype("<u2").tobytes())
    about = {"dataset": "tokens", "path": str(data), "context": CONTEXT, "packing": "plain", "split": "train"}
    config = folder / "training.json"
    config.write_text(json.dumps({**TRAINING, "data": {**about, "held_out": 0.0}}))
    with tempfile.TemporaryDirectory() as run:
        bilens(options, "train", config, "--out", pathlib.Path(run) / "run")
        tokens = TRAINING["train"]["batch_size"] * CONTEXT
        return tokens / steady_rate(pathlib.Path(run) / "run", tokens)


JOBS = {
    "decompose 16 directions of 2048 × 5632, decay": decomposing(LARGE, 16, "decay"),
    "decompose 64 directions of 256 × 1024": decomposing(SMALL, 64, "random"),
    "a training step, dim 64, 5 layers, 16 × 512": training,
}


@contextlib.contextmanager
def busy():
    """One other process that computes."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.2)
        yield
    finally:
        other.kill()
        other.wait()


@contextlib.contextmanager
def waiting(way):
    before = dict(os.environ)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        os.environ.pop(name, None)
    os.environ.update(WAYS[way])
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def main():
    options = arguments(__doc__).parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.rounds):
            for load, around in (("alone", contextlib.nullcontext), ("beside one", busy)):
                for job, seconds in JOBS.items():
                    for way in WAYS:
                        with around(), waiting(way):
                            found.setdefault((job, load, way), []).append(seconds(options, pathlib.Path(name)))
            print(f"round {number + 1} of {options.rounds} done", flush=True)
    rows = []
    for job in JOBS:
        for load in ("alone", "beside one"):
            asleep, spinning = (statistics.median(found[job, load, way]) for way in WAYS)
            row = (job, load, f"{1e3 * asleep:,.0f} ms", f"{1e3 * spinning:,.0f} ms", f"{spinning / asleep:.2f}")
            rows.append(row)
    head = ("what", "other processes", "threads asleep", "threads spinning", "speed ratio")
    keep("waiting", options, table(head, rows))


if __name__ == "__main__":
    main()
