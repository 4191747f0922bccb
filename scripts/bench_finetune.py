"""What it costs to make stories260K bilinear: ways of conversion at equal tokens, beside the same model trained on as it is.
Called by scripts/bench.sh finetune."""
import json
import pathlib
import statistics
import sys
import time

import numpy
from safetensors.numpy import load_file

from bench_common import ROOT, arguments, bilens, keep, peer, table

TOKENS_A_STEP = 16 * 512  # whatever the batch
CE = {"train.loss.cross_entropy": 1.0, "train.loss.divergence": 0.0, "train.loss.states": 0.0}
HALF = {"train.loss.cross_entropy": 0.5, "train.loss.divergence": 0.5, "train.loss.states": 0.0}
STATES = {"train.loss.states": 1.0}


def calibrate(**settings):
    return {"stages": [{"kind": "calibrate", **settings}, {"kind": "settle"}]}


ANNEAL = {"stages": [{"kind": "anneal", "fraction": 0.3}, {"kind": "settle"}]}
SWAP = {"stages": [{"kind": "settle"}]}
CONTINUE = {"baseline": "continue"}
SMALL = {"train.batch_size": 4}
MUON = {"train.optimizer": "muon"}
REFERENCE = "continue, cross-entropy"
RECIPE = "recipe: calibrated, half KL, states, Muon, batches of 4"
PARTS = {**calibrate(), **HALF, **STATES, **MUON, **SMALL}
ARMS = {
    REFERENCE: {**CONTINUE, **CE},
    "continue, cross-entropy, Muon, batches of 4": {**CONTINUE, **CE, **MUON, **SMALL},
    "continue, trained as in the recipe": {**PARTS, **CONTINUE},
    "cold swap": {"baseline": "cold", **CE},
    "annealed over 30%": {**ANNEAL, **CE},
    "annealed, half KL": {**ANNEAL, **HALF},
    "swap, half KL": {**SWAP, **HALF},
    "swap, states": {**SWAP, **CE, **STATES},
    "swap, Muon": {**SWAP, **CE, **MUON},
    "swap, batches of 4": {**SWAP, **CE, **SMALL},
    "calibrated": {**calibrate(), **CE},
    RECIPE: PARTS,
    "recipe without calibration": {**PARTS, **SWAP},
    "recipe without sweeps": {**PARTS, **calibrate(sweeps=0)},
    "recipe without KL": {**PARTS, **CE, **STATES},
    "recipe without states": {**PARTS, **HALF},
    "recipe without Muon": {**PARTS, "train.optimizer": "adamw"},
    "recipe in batches of 16": {**PARTS, "train.batch_size": 16},
    "recipe without gate bias": {**PARTS, **calibrate(bias=False)},
}


def settings_of(arm, options, rate, steps):
    chosen = {"train.batch_size": 16, "train.optimizer": "adamw", **ARMS[arm]}
    batch = chosen["train.batch_size"]
    steps = steps * 16 // batch
    return {**chosen, "train.steps": steps, "train.warmup_steps": steps // 30, "train.validate_every": steps // 6, "train.learning_rate": rate,
            "checkpoint.every_steps": steps, "teacher": str(options.teacher), "data.path": str(options.data), "train.sample.prompt": ""}


def flags_of(settings):
    return [part for key, value in settings.items()
            for part in ("--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}")]


def finetune(options, arm, rate, seed, steps):
    """The account of a run, with what it took; a run that is there is not repeated."""
    name = "-".join("".join(c if c.isalnum() else " " for c in arm).split())
    run = options.out / options.teacher.name / f"{name}-{steps}-{rate:g}-{seed}"
    took = run / "seconds.json"
    if not took.exists():
        flags = flags_of(settings_of(arm, options, rate, steps))
        begin = time.perf_counter()
        bilens(options, "finetune", ROOT / "configs/finetune-stories260k.json", "--out", run, "--resume", "--seed", seed, *flags)
        took.write_text(json.dumps(time.perf_counter() - begin))
        for checkpoint in (run / "checkpoints").rglob("*.safetensors"):
            checkpoint.unlink()  # 3 MB a run
    account = json.loads((run / "finetune.json").read_text())
    account["seconds"] = json.loads(took.read_text())
    account["stories"] = load_file(run / "test.safetensors")
    print(f"{arm}, {steps} steps, rate {rate:g}, seed {seed}: validation {account['validation']['loss']:.4f}, {account['seconds']:.0f} s", flush=True)
    return account


def best_rate(options, arm, steps):
    """By the validation loss of one seed."""
    return min(options.rates, key=lambda rate: finetune(options, arm, rate, options.seeds[0], steps)["validation"]["loss"])


def gap(accounts, references, draws=10000):
    """Mean over seeds of the test loss above the reference's, and its 95% interval over stories (bootstrap)."""
    tokens = references[0]["stories"]["tokens"].astype(float)
    difference = numpy.mean([a["stories"]["losses"] - b["stories"]["losses"] for a, b in zip(accounts, references)], axis=0)
    chosen = numpy.random.default_rng(0).integers(0, len(tokens), (draws, len(tokens)))
    low, high = numpy.quantile(difference[chosen].sum(1) / tokens[chosen].sum(1), [0.025, 0.975])
    return difference.sum() / tokens.sum(), low, high


def row(arm, rate, accounts, references):
    mean = lambda key: statistics.mean(account["test"][key] for account in accounts)
    value, low, high = gap(accounts, references)
    first = accounts[0]
    untrained = first.get("untrained") or first["validation"]
    calibrated = first.get("calibration", {}).get("tokens", 0)
    return (arm, f"{rate:g}", len(accounts), f"{untrained['loss'] - untrained['teacher_loss']:+.3f}", f"{mean('loss'):.4f}",
            f"{value:+.4f} [{low:+.4f}, {high:+.4f}]", f"{mean('divergence'):.4f}", f"{100 * mean('agreement'):.1f}%",
            f"{(first['trained_tokens'] + calibrated) / 1e6:.2f} M", f"{first['epochs']:.2f}",
            f"{statistics.median(account['seconds'] for account in accounts):.0f} s")


HEAD = ("arm", "rate", "seeds", "untrained, above the teacher (validation)", "test loss", "above *continue* [95% over stories]",
        "KL to the teacher", "top-1 agreement", "tokens with calibration", "epochs", "time")


def compare(options, arms, steps, seeds):
    """Rows of arms at their best rates. @param seeds: of an arm"""
    rates = {arm: best_rate(options, arm, steps) for arm in arms}
    accounts = {arm: [finetune(options, arm, rates[arm], seed, steps) for seed in seeds(arm)] for arm in arms}
    return [row(arm, rates[arm], found, accounts[REFERENCE]) for arm, found in accounts.items()]


def throughput(options):
    """Tokens/s of a loop in transformers and ours, on the converted model with half KL; medians of interleaved runs."""
    ours, theirs = [], []
    for number in range(options.rounds):
        run = options.out / f"speed-{time.time_ns()}"
        ours.append(bilens(options, "finetune", ROOT / "configs/finetune-stories260k.json", "--out", run,
                           *flags_of(settings_of("swap, half KL", options, 1e-3, 20)))["tokens_per_second"])
        theirs.append(json.loads(peer("peer_finetune.py", options.teacher, 16, 512, 20))["tokens_per_second"])
        print(f"round {number + 1}: bilens {ours[-1]:,.0f} tokens/s, transformers {theirs[-1]:,.0f}", flush=True)
    one, other = statistics.median(ours), statistics.median(theirs)
    return table(("what", "bilens", "transformers", "speed ratio"),
                 [("fine-tune, half KL, 16 × 512", f"{one:,.0f} tokens/s", f"{other:,.0f} tokens/s", f"{one / other:.2f}")])


def main():
    parser = arguments(__doc__)
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "data/tinystories/tinystories-sample.txt.gz")
    parser.add_argument("--teacher", type=pathlib.Path, default=ROOT / "models/stories260k")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs/finetune", help="runs that are there are not repeated")
    parser.add_argument("--steps", type=int, default=300, help="of 16 × 512 tokens")
    parser.add_argument("--rates", type=float, nargs="+", default=[5e-4, 1e-3, 2e-3], help="peak rates; each arm has its best on validation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="the recipe and continue have all, others the first three")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), help="these alone, beside continue")
    options = parser.parse_args()
    for path, what in ((options.data, "text"), (options.teacher, "model")):
        if not path.exists():
            sys.exit(f"{path}: no {what} there. Name one with --{'data' if what == 'text' else 'teacher'}.")
    arms = list(dict.fromkeys([REFERENCE, *options.arms]))
    rows = compare(options, arms, options.steps, lambda arm: options.seeds if arm in (REFERENCE, RECIPE) else options.seeds[:3])
    teacher = finetune(options, REFERENCE, options.rates[0], options.seeds[0], options.steps)["test"]
    note = (f"{options.steps} × {TOKENS_A_STEP:,} tokens, rates {', '.join(f'{rate:g}' for rate in options.rates)}; the teacher itself has "
            f"test loss {teacher['teacher_loss']:.4f} on {teacher['tokens']:,} tokens.\n\n")
    keep("finetune", options, note + table(HEAD, rows) + "\n" + throughput(options), "speed: medians of interleaved runs")


if __name__ == "__main__":
    main()
