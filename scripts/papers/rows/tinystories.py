"""Small language models with bilinear, ReGLU and SwiGLU layers, at equal tokens and equal time."""

import json

from papers import runs
from papers.figures import OTHER, OWN, PUBLISHED, figure
from papers.row import Row, verdict

ACTS = {"bilinear": "linear", "ReGLU": "relu", "SwiGLU": "silu"}
RATES = (2.5e-3, 5e-3, 1e-2)
PUBLISHED_LOSS = {"bilinear": (1.337, 1.337), "ReGLU": (1.332, 1.337), "SwiGLU": (1.321, 1.336)}
SEED_OF_RATES = 100


def text():
    for folder in (runs.ROOT / "data/tinystories", runs.TEST_DATA / "tinystories"):
        if (folder / "tinystories-sample.txt.gz").exists():
            return folder / "tinystories-sample.txt.gz"
    raise runs.Missing(
        "data/tinystories/tinystories-sample.txt.gz is not there: run scripts/get_data.sh tinystories-sample --from "
        "FOLDER"
    )


def tokenizer(story):
    folder = runs.MODELS / "tokenizer-512"
    with runs.LOCKS[folder]:
        if not folder.exists():
            runs.bilens("tokenizer", "train", "--data", f"text:{story}", "--vocabulary", 512, "--out", folder)
    return folder


def plan(setting, seed):
    changes = {"model.hidden_act": ACTS[setting], "train.seed": seed}
    return {"config": runs.with_changes(runs.base_config("tinystories"), changes), "rates": RATES}


def losses(config, rate, seed):
    """Validation and test loss, and tokens a second."""
    story = text()
    changes = {
        "train.learning_rate": rate,
        "train.seed": seed,
        "data.path": str(story),
        "data.tokenizer": str(tokenizer(story)),
    }
    run, result = runs.trained(runs.with_changes(config, changes))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    validation = [line["loss"] for line in lines if line.get("split") == "validation"][-1]
    rate_of_tokens = [line["tokens_per_second"] for line in lines if "tokens_per_second" in line][-1]
    return validation, result["loss"], rate_of_tokens


def measure(plan):
    config = plan["config"]
    rate = min(plan["rates"], key=lambda rate: losses(config, rate, SEED_OF_RATES)[0])
    validation, test, tokens = losses(config, rate, config["train"]["seed"])
    return {"rate": rate, "validation": validation, "test": test, "tokens_per_second": tokens}


def table(found):
    rows = []
    best = found.mean("SwiGLU", "validation")
    for name, (tokens, time) in PUBLISHED_LOSS.items():
        gap, published_gap = found.mean(name, "validation") - best, tokens - PUBLISHED_LOSS["SwiGLU"][0]
        rows.append(
            (
                name,
                f"{tokens} ({published_gap:+.3f})",
                f"{time}",
                found.words(name, "validation", "{:.4f}") + f" ({gap:+.4f})",
                found.words(name, "test", "{:.4f}"),
                found.words(name, "tokens_per_second", "{:,.0f}"),
                f"{found.mean(name, 'rate'):g}",
                "the reference" if name == "SwiGLU" else verdict(gap, published_gap, 0.02),
            )
        )
    head = (
        "layers",
        "published, equal epochs (above SwiGLU)",
        "published, equal time",
        "validation loss here (above SwiGLU)",
        "test loss here",
        "tokens/s, one thread",
        "rate chosen",
        "verdict on the gap",
    )
    return head, rows


def draw(found):
    drawn, ((axes,),) = figure(size=(4.4, 2.8))
    for place, (name, colour) in enumerate(zip(ACTS, (OWN, PUBLISHED, OTHER))):
        for loss in found.numbers(name, "validation"):
            axes.plot(place, loss, "o", color=colour, markersize=4, alpha=0.7)
    axes.set_xticks(range(len(ACTS)), ACTS)
    axes.set(ylabel="validation loss, nats a token", xlim=(-0.5, len(ACTS) - 0.5))
    return drawn


TINYSTORIES = Row(
    name="tinystories",
    title="Bilinear, ReGLU and SwiGLU twins",
    about=(
        "Published for 30 M parameters (P2). Here the small size, 0.27 M parameters and 1.0 M tokens of the "
        "TinyStories sample; each kind has its rate chosen from three on the validation part, with a seed of its "
        "own. The kinds differ in speed by what the table says, so that equal tokens are equal time to that share. "
        "The verdict is of the gap to SwiGLU and allows .02. The 30 M size is `configs/tinystories-30m.json`, for a "
        "GPU."
    ),
    settings=tuple(ACTS),
    plan=plan,
    measure=measure,
    table=table,
    figure=draw,
)
