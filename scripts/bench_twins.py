"""Bilinear and SwiGLU twins: the same small language model with either MLP, equal parameters, tokens and seeds.

Called by scripts/bench.sh twins.
"""

import json
import pathlib
import statistics
import sys

from bench_common import ROOT, arguments, bilens, keep, table
from bench_intervals import in_words

TWINS = {"bilinear": "linear", "SwiGLU": "silu"}
SEEDS = (1, 2, 3)


def train(options, act, seed):
    run = options.out / f"{act}-{seed}"
    result = bilens(
        options,
        "train",
        ROOT / "configs/tinystories-tiny.json",
        "--out",
        run,
        "--resume",
        "--seed",
        seed,
        "--set",
        f"model.hidden_act={act}",
        "--set",
        f"data.path={options.data}",
        "--set",
        f"data.tokenizer={options.tokenizer}",
    )
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    validation = [r for r in records if r.get("split") == "validation"][-1]["loss"]
    last = [r for r in records if "split" not in r][-1]
    config = json.loads((run / "config.json").read_text())
    tokens = last["step"] * config["train"]["batch_size"] * config["data"]["context"]
    print(f"{act}, seed {seed}: validation {validation:.4f}, test {result['loss']:.4f}", flush=True)
    return validation, result["loss"], tokens, tokens / last["tokens_per_second"]


def main():
    parser = arguments(__doc__)
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "data/tinystories/tinystories-sample.txt.gz")
    parser.add_argument("--tokenizer", type=pathlib.Path, default=ROOT / "data/tinystories/tokenizer-512")
    parser.add_argument(
        "--out", type=pathlib.Path, default=ROOT / "runs/twins", help="runs that are there are not repeated"
    )
    options = parser.parse_args()
    if not options.data.is_file():
        sys.exit(
            f"{options.data}: no text there. Run scripts/get_data.sh tinystories-sample --from FOLDER, "
            "or name a file with --data."
        )
    if not options.tokenizer.exists():
        bilens(
            options,
            "tokenizer",
            "train",
            "--data",
            f"text:{options.data}",
            "--vocabulary",
            512,
            "--out",
            options.tokenizer,
        )
    found = {name: [train(options, act, seed) for seed in SEEDS] for name, act in TWINS.items()}
    rows = []
    for name, runs in found.items():
        minutes = statistics.median(seconds for *_, seconds in runs) / 60
        for place, part in enumerate(("validation", "test")):
            losses = [run[place] for run in runs]
            rows.append(
                (
                    f"{name}, {part}",
                    *(f"{loss:.4f}" for loss in losses),
                    f"{statistics.mean(losses):.4f}",
                    f"{runs[0][2] / 1e6:.2f} M",
                    f"{minutes:.1f} min",
                )
            )
    gaps = [
        [ours[place] - theirs[place] for ours, theirs in zip(found["bilinear"], found["SwiGLU"])] for place in range(2)
    ]
    for part, gap in zip(("validation", "test"), gaps):
        rows.append(
            (f"bilinear − SwiGLU, {part}", *(f"{value:+.4f}" for value in gap), in_words(gap, [1] * len(gap)), "", "")
        )
    keep(
        "twins",
        options,
        table(
            (
                "loss, nats a token",
                *(f"seed {seed}" for seed in SEEDS),
                "mean [95% over seeds]",
                "tokens",
                "time of a run",
            ),
            rows,
        ),
        "one run a seed",
    )


if __name__ == "__main__":
    main()
