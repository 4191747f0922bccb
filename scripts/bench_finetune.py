"""What it costs to make stories260K bilinear: ways of conversion at equal tokens, beside the same model trained on as it is.
Called by scripts/bench.sh finetune."""
import json
import pathlib
import statistics
import sys

from bench_common import ROOT, arguments, bilens, keep, table

KL = ["train.loss.cross_entropy=0.5", "train.loss.divergence=0.5"]
CE = ["train.loss.cross_entropy=1.0", "train.loss.divergence=0.0"]
CALIBRATE = 'stages=[{"kind": "calibrate"}, {"kind": "settle"}]'
NO_BIAS = 'stages=[{"kind": "calibrate", "bias": false}, {"kind": "settle"}]'
ANNEAL = 'stages=[{"kind": "anneal", "fraction": 0.3}, {"kind": "settle"}]'
ARMS = {  # name: settings
    "continue, cross-entropy": ["baseline=continue", *CE],
    "continue, half KL": ["baseline=continue", *KL],
    "cold swap": ["baseline=cold", *CE],
    "annealed over 30%": [ANNEAL, *CE],
    "annealed, half KL": [ANNEAL, *KL],
    "calibrated": [CALIBRATE, *CE],
    "calibrated, half KL": [CALIBRATE, *KL],
    "calibrated without gate bias, half KL": [NO_BIAS, *KL],
}


def finetune(options, arm, rate, seed):
    run = options.out / f"{arm.replace(' ', '-').replace(',', '').replace('%', '')}-{options.steps}-{rate:g}-{seed}"
    flags = [flag for setting in ARMS[arm] for flag in ("--set", setting)]
    bilens(options, "finetune", ROOT / "configs/finetune-stories260k.json", "--out", run, "--resume", "--seed", seed, *flags,
           "--set", f"teacher={options.teacher}", "--set", f"data.path={options.data}", "--set", f"train.steps={options.steps}",
           "--set", f"train.learning_rate={rate}", "--set", "train.sample.prompt=")
    account = json.loads((run / "finetune.json").read_text())
    print(f"{arm}, rate {rate:g}, seed {seed}: untrained {account['untrained']['loss']:.4f}, validation {account['validation']['loss']:.4f}",
          flush=True)
    return account


def best_rate(accounts):
    """The rate with the best validation loss, averaged over seeds."""
    return min(accounts, key=lambda rate: statistics.mean(a["validation"]["loss"] for a in accounts[rate]))


def main():
    parser = arguments(__doc__)
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "data/tinystories/tinystories-sample.txt.gz")
    parser.add_argument("--teacher", type=pathlib.Path, default=ROOT / "models/stories260k")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs/finetune", help="runs that are there are not repeated")
    parser.add_argument("--steps", type=int, default=300, help="of 16 × 512 tokens")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 2e-3, 4e-3], help="peak rates; each arm has its best on validation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    for path, what in ((options.data, "text"), (options.teacher, "model")):
        if not path.exists():
            sys.exit(f"{path}: no {what} there. Name one with --{'data' if what == 'text' else 'teacher'}.")
    chosen = {}
    for arm in ARMS:
        accounts = {rate: [finetune(options, arm, rate, seed) for seed in options.seeds] for rate in options.rates}
        rate = best_rate(accounts)
        chosen[arm] = (rate, accounts[rate])
    reference = [account["test"]["loss"] for account in chosen["continue, cross-entropy"][1]]
    rows = []
    for arm, (rate, accounts) in chosen.items():
        figures = [account["test"] for account in accounts]
        gaps = [figure["loss"] - base for figure, base in zip(figures, reference)]
        spread = f" ± {statistics.stdev(gaps):.4f}" if len(gaps) > 1 else ""
        mean = lambda key: statistics.mean(figure[key] for figure in figures)
        untrained = accounts[0]["untrained"]
        rows.append((arm, f"{rate:g}", f"{untrained['loss'] - untrained['teacher_loss']:+.3f}", f"{mean('loss'):.4f}",
                     f"{statistics.mean(gaps):+.4f}{spread}", f"{mean('divergence'):.4f}", f"{100 * mean('agreement'):.1f}%"))
    test = accounts[0]["test"]
    tokens = accounts[0]["trained_tokens"]
    note = (f"{tokens / 1e6:.2f} M tokens, {accounts[0]['epochs']:.2f} epochs, {len(options.seeds)} seed(s), rates "
            f"{', '.join(f'{rate:g}' for rate in options.rates)}; the teacher itself has test loss {test['teacher_loss']:.4f} on {test['tokens']:,} tokens.\n\n")
    keep("finetune", options, note + table(("arm", "rate", "untrained, above the teacher (validation)", "test loss", "above *continue*",
                                            "KL to the teacher", "top-1 agreement"), rows), "one run a seed")


if __name__ == "__main__":
    main()
