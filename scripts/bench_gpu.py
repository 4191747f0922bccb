"""The work that a GPU is for, bilens beside PyTorch and transformers on the same one: layers and models of TinyLlama's
size. Called by scripts/bench.sh gpu."""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy
import torch

from bench_common import ROOT, arguments, bilens, keep, peer, steady_rate, table
from bench_decompose import LARGE, measure_bilens
from bench_finetune import flags_of
from bench_llama import train

# dim, layers, heads, key-value heads, hidden, vocabulary, batch, sequence; steps timed
SHAPES = {
    "configs/tinystories-30m.json: dim 512, 6 layers, 128 × 256": ((512, 6, 8, 8, 2048, 4096, 128, 256), 60),
    "dim 1024, 12 layers, vocabulary 32,000, 16 × 1024": ((1024, 12, 16, 16, 4096, 32000, 16, 1024), 30),
}
FINETUNE = (2, 2048, 51)  # sequences at once, their tokens, steps


def decompose(options):
    rows = []
    for name, settings in (
        ("probe", {}),
        ("certified", {"certify": "true"}),
        ("every eigenpair", {"k": '"all"', "energy": "exact"}),
    ):
        runs = [measure_bilens(options, *LARGE, 64, "random", **settings) for _ in range(options.rounds)]
        ours = statistics.median(sum(seconds.values()) for seconds, _, _ in runs)
        theirs = statistics.median(
            json.loads(peer("peer_gpu.py", "eigh", *LARGE, 16, 10))["seconds"] for _ in range(options.rounds)
        )
        entry = runs[0][1]
        rows.append(
            (
                f"64 directions of {LARGE[0]} × {LARGE[1]}, {name}",
                f"{1e3 * ours:.2f} ms a direction ({entry['solver']})",
                f"{1e3 * theirs:.2f} ms (form + eigh)",
                f"{theirs / ours:.2f}",
                f"worst residual {entry['worst_residual']:.1e}",
            )
        )
        print(rows[-1], flush=True)
    return rows


def training(options):
    rows = []
    for name, (shape, steps) in SHAPES.items():
        ours, theirs = [], []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                ours.append(train(options, pathlib.Path(folder), shape, steps, compute="bfloat16"))
            found = json.loads(peer("peer_gpu.py", "train", *shape, steps))
            theirs.append((found["tokens_per_second"], found["peak_memory_bytes"]))
        rows.append(compared(f"train, {name}, bfloat16", ours, theirs))
        print(rows[-1], flush=True)
    return rows


def compared(name, ours, theirs):
    (speed, memory), (peer_speed, peer_memory) = (
        [statistics.median(column) for column in zip(*side)] for side in (ours, theirs)
    )
    return (
        name,
        f"{speed:,.0f} tokens/s",
        f"{peer_speed:,.0f} tokens/s",
        f"{speed / peer_speed:.2f}",
        f"{memory / 1e9:.1f} GB of the GPU, transformers {peer_memory / 1e9:.1f}",
    )


def finetune_steps(options, model, folder, run, *settings):
    """(tokens/s after the first steps, bytes of the GPU)"""
    at_once, context, steps = FINETUNE
    result = bilens(
        options,
        "finetune",
        ROOT / "configs/finetune-tinyllama.json",
        "--out",
        folder / run,
        *flags_of(
            {
                "teacher": str(model),
                "data": {
                    "dataset": "tokens",
                    "path": str(folder / "tokens.bin"),
                    "context": context,
                    "packing": "plain",
                    "held_out": 2e-3,
                },
                "train.steps": steps,
                "train.batch_size": at_once,
                "train.micro_batch": at_once,
                "train.warmup_steps": 1,
                "train.validate_every": 0,
                "train.sample.prompt": "",
                "checkpoint.every_steps": 0,
            }
        ),
        *settings,
    )
    return steady_rate(folder / run, at_once * context), result["peak_device_memory_bytes"]


def tinyllama(options):
    """Steps of the shipped config."""
    at_once, context, steps = FINETUNE
    swap = flags_of(
        {
            "stages": [{"kind": "settle"}],
            "train.loss": {"cross_entropy": 0.5, "divergence": 0.5, "states": 0.0},
            "train.moments": "float32",
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model = options.model or folder / "tinyllama"
        if not options.model:
            subprocess.run([sys.executable, ROOT / "scripts/make_random_llama.py", model], check=True)
        numpy.random.default_rng(0).integers(3, 32000, 4_000_000).astype("<u2").tofile(folder / "tokens.bin")
        ours = [finetune_steps(options, model, folder, f"run-{number}", *swap) for number in range(options.rounds)]
        theirs = []
        for _ in range(options.rounds):
            found = json.loads(peer("peer_gpu.py", "finetune", model, at_once, context, steps))
            theirs.append((found["tokens_per_second"], found["peak_memory_bytes"]))
    return [compared(f"fine-tune TinyLlama's MLPs beside the teacher, half KL, {at_once} × {context}", ours, theirs)]


def main():
    parser = arguments(__doc__)
    parser.add_argument("--model", type=pathlib.Path, help="of TinyLlama's size; default: random weights")
    parser.set_defaults(device="cuda", rounds=3)
    options = parser.parse_args()
    rows = decompose(options) + training(options) + tinyllama(options)
    keep(
        "gpu",
        options,
        table(("what", "bilens", "PyTorch", "speed ratio", ""), rows),
        f"median of {options.rounds}, {torch.cuda.get_device_name()}, LibTorch {torch.__version__}",
    )


if __name__ == "__main__":
    main()
