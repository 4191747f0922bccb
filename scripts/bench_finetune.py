"""What it costs to make stories260K bilinear: ways of conversion at equal tokens, beside the same model trained on.

Called by scripts/bench.sh finetune.
"""

import collections
import concurrent.futures
import datetime
import functools
import hashlib
import json
import pathlib
import shutil
import statistics
import sys
import threading
import time

import numpy
from safetensors.numpy import load_file

from bench_common import ROOT, arguments, bilens, keep, peer, table
from bench_intervals import in_words

TOKENS_A_STEP = 16 * 512  # whatever the batch
CE = {"train.loss.cross_entropy": 1.0, "train.loss.divergence": 0.0, "train.loss.states": 0.0}
HALF = {"train.loss.cross_entropy": 0.5, "train.loss.divergence": 0.5, "train.loss.states": 0.0}
STATES = {"train.loss.states": 1.0}


def calibrate(**settings):
    return {"stages": [{"kind": "calibrate", **settings}, {"kind": "settle"}]}


def widen(factor, **settings):
    """With few sequences at once, whose activations a CPU's caches hold."""
    return {"stages": [{"kind": "widen", "factor": factor}, *calibrate(**settings)["stages"]], "train.micro_batch": 2}


ANNEAL = {"stages": [{"kind": "anneal", "fraction": 0.3}, {"kind": "settle"}]}
SWAP = {"stages": [{"kind": "settle"}]}
CONTINUE = {"baseline": "continue"}
SMALL = {"train.batch_size": 4}
MUON = {"train.optimizer": "muon"}
REFERENCE = "continue, cross-entropy"
RECIPE = "recipe: calibrated, half KL, states, Muon, batches of 4"
WIDER, WIDEST = "recipe, 4 times the hidden units", "recipe, 8 times the hidden units"
WIDE_REFERENCE = "continue with 8 times the hidden units"
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
    "recipe, MLPs alone": {**PARTS, "train.trained": "mlps"},
    "recipe, the two cheapest of five layers": {**PARTS, **calibrate(layers=[0, 2])},
    "recipe, the three cheapest": {**PARTS, **calibrate(layers=[0, 2, 4])},
    "recipe, twice the hidden units": {**PARTS, **widen(2)},
    WIDER: {**PARTS, **widen(4)},
    WIDEST: {**PARTS, **widen(8)},
    "recipe, 8 times the hidden units, without gate bias": {**PARTS, **widen(8, bias=False)},
    WIDE_REFERENCE: {**CONTINUE, **CE, **widen(8)},
    "continue with 8 times the hidden units, trained as in the recipe": {**PARTS, **CONTINUE, **widen(8)},
}
calibrating, recording = collections.defaultdict(threading.Lock), threading.Lock()


def settings_of(options, teacher, arm, rate, steps):
    chosen = {"train.batch_size": 16, "train.optimizer": "adamw", **ARMS[arm]}
    batch = chosen["train.batch_size"]
    steps = steps * 16 // batch
    return {
        **chosen,
        "train.steps": steps,
        "train.warmup_steps": steps // 30,
        "train.validate_every": steps // 2,
        "train.learning_rate": rate,
        "checkpoint.every_steps": steps,
        "teacher": str(teacher),
        "data.path": str(options.data),
        "train.sample.prompt": "",
    }


def flags_of(settings):
    return [
        part
        for key, value in settings.items()
        for part in ("--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}")
    ]


def name_of(*parts):
    """A folder's name."""
    return "-".join("".join(c if c.isalnum() else " " for part in parts for c in f"{part} ").split())


def name_of_teacher(model):
    return (model.parent if model.name == "model" else model).name


@functools.cache
def sha256_of(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def identity(options, teacher):
    """What a run on record must have been of."""
    if options.recorded:  # whatever it was, for nothing is run
        return {}
    return {"teacher_sha256": sha256_of(teacher / "model.safetensors"), "data_sha256": sha256_of(options.data)}


def records(options):
    with recording:
        return (
            [json.loads(line) for line in options.records.read_text().splitlines()] if options.records.exists() else []
        )


def run_finetune(options, run, settings, seed):
    """Makes a run, or goes on with it; its seconds."""
    config = ROOT / "configs/finetune-stories260k.json"
    begin = time.perf_counter()
    bilens(options, "finetune", config, "--out", run, "--resume", "--seed", seed, *flags_of(settings))
    return time.perf_counter() - begin


def closed_form(options, name, settings, seed):
    """What the stages before training give, the same at every rate, and its seconds; None where there are none."""
    stages = [stage for stage in settings.get("stages", []) if stage["kind"] in ("widen", "calibrate")]
    if "baseline" in settings or not any(stage["kind"] == "calibrate" for stage in stages):
        return None, 0.0
    drawn = seed if stages[0]["kind"] == "widen" else 0  # the new units
    run = options.out / name / ("closed-" + hashlib.sha256(json.dumps([stages, drawn]).encode()).hexdigest()[:8])
    took = run / "seconds.json"
    with calibrating[run]:  # several runs may ask for the same
        if not took.exists():
            took.write_text(json.dumps(run_finetune(options, run, {**settings, "stages": stages}, seed)))
    return run / "calibrated", json.loads(took.read_text())


def finetune(options, teacher, arm, rate, seed, steps):
    """The account of a run, with what it took and the losses of each test story; a run on record is not repeated."""
    name = name_of_teacher(teacher)
    key = {"teacher": name, **identity(options, teacher), "arm": arm, "steps": steps, "rate": rate, "seed": seed}
    for account in records(options):
        if {part: account[part] for part in key} == key:
            return account
    if options.recorded:
        return None
    run = options.out / name / name_of(arm, steps, f"{rate:g}", seed)
    settings = settings_of(options, teacher, arm, rate, steps)
    calibrated, before = closed_form(options, name, settings, seed)
    if calibrated:
        shutil.copytree(calibrated, run / "calibrated", dirs_exist_ok=True)
    seconds = before + run_finetune(options, run, settings, seed)
    account = json.loads((run / "finetune.json").read_text())
    calibration, stories = account.get("calibration", {"tokens": 0, "flops": 0.0}), load_file(run / "test.safetensors")
    account = {
        **key,
        **{
            part: account[part]
            for part in ("parameters", "untrained", "trained_tokens", "training_flops", "epochs", "validation", "test")
        },
        "calibration_tokens": calibration["tokens"],
        "calibration_flops": calibration["flops"],
        "device": options.device,
        "date": datetime.date.today().isoformat(),
        "seconds": round(seconds) if options.jobs == 1 else None,
        "story_losses": [round(loss, 2) for loss in stories["losses"].tolist()],
    }
    if arm == REFERENCE:  # the same stories in all
        account["story_tokens"] = stories["tokens"].tolist()
    with recording, options.records.open("a") as file:
        file.write(json.dumps(account) + "\n")
    shutil.rmtree(run / "checkpoints")  # 3 MB a run
    print(
        f"{name}, {arm}, {steps} steps, rate {rate:g}, seed {seed}: "
        f"validation {account['validation']['loss']:.4f}, {seconds:.0f} s",
        flush=True,
    )
    return account


def finetune_all(options, runs):
    """Their accounts, None for what is not on record."""
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        return list(pool.map(lambda run: finetune(options, *run), runs))


def best_rates(options, teacher, arms):
    """arm -> rate, by the validation loss of one seed; without arms of which no run is on record."""
    runs = [(teacher, arm, rate, options.seeds[0], options.steps) for arm in arms for rate in options.rates]
    tried = {arm: [] for arm in arms}
    for account in filter(None, finetune_all(options, runs)):
        tried[account["arm"]].append(account)
    return {
        arm: min(accounts, key=lambda account: account["validation"]["loss"])["rate"]
        for arm, accounts in tried.items()
        if accounts
    }


def kept_rates(options, teacher, rates, steps):
    """These rates, but where runs of as many steps are on record, that of the best on validation."""
    found = [
        account
        for account in records(options)
        if (account["teacher"], account["steps"]) == (name_of_teacher(teacher), steps)
    ]
    seen = {
        account["arm"]: account["rate"] for account in sorted(found, key=lambda account: -account["validation"]["loss"])
    }
    return {arm: seen.get(arm, rate) for arm, rate in rates.items()}


def tokens_of(references):
    return numpy.array(references[0]["story_tokens"], float)


def differences(accounts, references):
    """[seeds, stories]: the test losses above the reference's of the same seed."""
    of_seed = {run["seed"]: numpy.array(run["story_losses"]) for run in references}
    return numpy.array(
        [numpy.array(run["story_losses"]) - of_seed[run["seed"]] for run in accounts if run["seed"] in of_seed]
    )


def over_stories(accounts, references, tokens):
    """Mean over seeds of the test loss above the reference's with its 95% interval over stories, in words.

    @param tokens: of each story
    """
    return in_words(differences(accounts, references).mean(0), tokens)


def over_seeds(accounts, references, tokens):
    """The same over seeds: what another seed may bring, on these stories.

    Nothing of one seed, and of the reference beside itself.
    """
    found = differences(accounts, references).sum(1) / tokens.sum()
    return in_words(found, numpy.ones(len(found))) if len(found) > 1 and found.any() else ""


def times_alone(options, teacher, steps):
    """(arm, day) -> seconds of its runs on the CPU with nothing beside them, at whatever rate."""
    times = collections.defaultdict(list)
    for account in records(options):
        if (account["teacher"], account["steps"], account["device"]) == (
            name_of_teacher(teacher),
            steps,
            "cpu",
        ) and account["seconds"]:
            times[account["arm"], account["date"]].append(account["seconds"])
    return times


def time_beside_reference(arm, times):
    """Median of what a run takes in the time of *continue* on the same day, for machines differ.

    In words, none where it is not known.
    """
    ratios = [
        seconds / statistics.median(times[REFERENCE, day])
        for (name, day), alone in times.items()
        if name == arm and (REFERENCE, day) in times
        for seconds in alone
    ]
    return f"{statistics.median(ratios):.1f}" if ratios else ""


def row(arm, rate, accounts, references, time):
    mean = lambda key: statistics.mean(account["test"][key] for account in accounts)
    first = accounts[0]
    untrained = first.get("untrained") or first["validation"]
    return (
        arm,
        f"{first['parameters']:,}",
        f"{rate:g}",
        len(accounts),
        f"{untrained['loss'] - untrained['teacher_loss']:+.3f}",
        f"{mean('loss'):.4f}",
        over_stories(accounts, references, tokens_of(references)),
        over_seeds(accounts, references, tokens_of(references)),
        f"{mean('divergence'):.4f}",
        f"{100 * mean('agreement'):.1f}%",
        f"{(first['trained_tokens'] + first['calibration_tokens']) / 1e6:.2f} M",
        f"{first['epochs']:.2f}",
        f"{first['training_flops'] / 1e12:.1f} + {first['calibration_flops'] / 1e12:.1f}",
        time,
    )


FEW = (REFERENCE, "annealed over 30%", "cold swap", RECIPE, WIDER, WIDEST, WIDE_REFERENCE)
HEAD = (
    "arm",
    "parameters",
    "rate",
    "seeds",
    "untrained, above the teacher (validation)",
    "test loss",
    "above *continue* [95% over stories]",
    "the same [95% over seeds]",
    "KL to the teacher",
    "top-1 agreement",
    "tokens with calibration",
    "epochs",
    "TFLOP of training + calibration",
    "time on the CPU, in that of *continue*",
)


def compare(options, teacher, rates, steps, seeds):
    """Rows of arms. @param rates: arm -> rate. @param seeds: arm -> its seeds"""
    found = finetune_all(
        options, [(teacher, arm, rate, seed, steps) for arm, rate in rates.items() for seed in seeds(arm)]
    )
    accounts = {arm: [account for account in found if account and account["arm"] == arm] for arm in rates}
    references = accounts[REFERENCE]
    seen, times = references[0]["test"], times_alone(options, teacher, steps)
    took = [seconds for (arm, _), alone in times.items() if arm == REFERENCE for seconds in alone]
    text = (
        f"The teacher itself has test loss {seen['teacher_loss']:.4f} on {seen['tokens']:,} tokens of "
        f"{len(references[0]['story_tokens'])} stories."
        + (f" *continue* took {' to '.join(map(str, dict.fromkeys([min(took), max(took)])))} s." if took else "")
        + "\n\n"
        + table(
            HEAD,
            [
                row(arm, rates[arm], found, references, time_beside_reference(arm, times))
                for arm, found in accounts.items()
                if found
            ],
        )
    )
    if accounts.get(WIDEST) and accounts.get(WIDE_REFERENCE):
        of = accounts[WIDEST], accounts[WIDE_REFERENCE], tokens_of(references)
        seeds = over_seeds(*of)
        above = f"{over_stories(*of)} over stories{seeds and f', {seeds} over seeds'}"
        text += f"\n*{WIDEST}* above *{WIDE_REFERENCE}*: {above}.\n"
    return text


def second_teacher(options):
    """A SwiGLU model of the same size, trained here from scratch on eight epochs of the same text.

    It has a tokenizer of its own.
    """
    model, tokenizer = options.out / "swiglu-2500", options.out / "tokenizer-512"
    if options.recorded:
        return model
    if not tokenizer.exists():
        bilens(options, "tokenizer", "train", "--data", f"text:{options.data}", "--vocabulary", 512, "--out", tokenizer)
    if not (model / "model").exists():
        bilens(
            options,
            "train",
            ROOT / "configs/tinystories-tiny.json",
            "--out",
            model,
            "--resume",
            "--set",
            "model.hidden_act=silu",
            "--set",
            f"data.path={options.data}",
            "--set",
            f"data.tokenizer={tokenizer}",
            "--set",
            "train.steps=2500",
            "--set",
            "train.sample.prompt=",
        )
    return model / "model"


def throughput(options):
    """Tokens/s of a loop in transformers and ours, on the converted model with half KL; medians of interleaved runs."""
    ours, theirs = [], []
    for number in range(options.rounds):
        run = options.out / f"speed-{time.time_ns()}"
        ours.append(
            bilens(
                options,
                "finetune",
                ROOT / "configs/finetune-stories260k.json",
                "--out",
                run,
                *flags_of(settings_of(options, options.teacher, "swap, half KL", 1e-3, 20)),
            )["tokens_per_second"]
        )
        theirs.append(json.loads(peer("peer_finetune.py", options.teacher, 16, 512, 20))["tokens_per_second"])
        print(f"round {number + 1}: bilens {ours[-1]:,.0f} tokens/s, transformers {theirs[-1]:,.0f}", flush=True)
    one, other = statistics.median(ours), statistics.median(theirs)
    return table(
        ("what", "bilens", "transformers", "speed ratio"),
        [("fine-tune, half KL, 16 × 512", f"{one:,.0f} tokens/s", f"{other:,.0f} tokens/s", f"{one / other:.2f}")],
    )


def main():
    parser = arguments(__doc__)
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "data/tinystories/tinystories-sample.txt.gz")
    parser.add_argument("--teacher", type=pathlib.Path, default=ROOT / "models/stories260k")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs/finetune")
    parser.add_argument(
        "--records",
        type=pathlib.Path,
        default=ROOT / "docs/finetune_runs.jsonl",
        help="finished runs, a line each, which are not repeated: another file measures anew",
    )
    parser.add_argument("--recorded", action="store_true", help="make the tables from finished runs alone")
    parser.add_argument("--steps", type=int, default=300, help="of 16 × 512 tokens")
    parser.add_argument("--long", type=int, default=977, help="steps of the longer comparison: 8 M tokens")
    parser.add_argument(
        "--rates",
        type=float,
        nargs="+",
        default=[5e-4, 1e-3, 2e-3],
        help="peak rates; each arm has its best on validation",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[1, 2, 3, 4, 5],
        help="the recipe and continue have all, others the first three",
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; beside others they are not timed")
    parser.add_argument(
        "--arms", nargs="+", default=list(ARMS), choices=list(ARMS), help="these alone, beside continue"
    )
    options = parser.parse_args()
    for path, what in ((options.data, "text"), (options.teacher, "model")):
        if not path.exists():
            sys.exit(f"{path}: no {what} there. Name one with --{'data' if what == 'text' else 'teacher'}.")
    rates = best_rates(options, options.teacher, dict.fromkeys([REFERENCE, *options.arms]))
    few = {arm: rates[arm] for arm in FEW if arm in rates}
    second = second_teacher(options)
    text = (
        f"### {options.steps} × {TOKENS_A_STEP:,} tokens\n\nRates {', '.join(f'{rate:g}' for rate in options.rates)}. "
        + compare(
            options,
            options.teacher,
            rates,
            options.steps,
            lambda arm: options.seeds if arm in (REFERENCE, RECIPE, WIDEST) else options.seeds[:3],
        )
        + f"\n### {options.long} × {TOKENS_A_STEP:,} tokens, one rate each\n\n"
        + compare(
            options,
            options.teacher,
            kept_rates(options, options.teacher, few, options.long),
            options.long,
            lambda arm: options.seeds[:1],
        )
        + "\n### Another teacher, trained from scratch on the same text, one rate each\n\n"
        + compare(
            options,
            second,
            kept_rates(options, second, few, options.steps),
            options.steps,
            lambda arm: options.seeds[:1],
        )
    )
    keep("finetune", options, text + "\n### Speed\n\n" + throughput(options), "speed: medians of interleaved runs")


if __name__ == "__main__":
    main()
