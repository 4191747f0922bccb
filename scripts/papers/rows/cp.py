"""The classifier as a sum of 64 products."""

import json

from papers import images, runs
from papers.row import Row, verdict

PUBLISHED = 96.7  # percent, the same as the whole classifier's


def plan(setting, seed):
    changes = {
        "model.d_model": 256,
        "model.d_hidden": 256,
        "train.epochs": 20,
        "train.weight_decay": 0.5,
        "train.input_noise.std": 0.4,
    }
    return images.config(seed, changes)


def measure(config):
    run, result = runs.trained(config)
    folder = runs.decomposed(run, {"method": "cp", "cp.rank": 64, "analyses": ["truncation"]}, "cp")
    rebuilt = json.loads((folder / "study.json").read_text())["reconstruction"][0]
    return {"accuracy": result["accuracy"], "rebuilt": rebuilt["accuracy"], "relative_error": rebuilt["relative_error"]}


def table(found):
    one = "rank 64"
    row = (
        f"{PUBLISHED}%, the original's",
        found.words(one, "accuracy", scale=100, unit="%"),
        found.words(one, "rebuilt", scale=100, unit="%"),
        found.words(one, "relative_error", "{:.3f}"),
        verdict(100 * (found.mean(one, "rebuilt") - found.mean(one, "accuracy")), 0.0, 0.2),
    )
    return ("published", "whole classifier", "64 terms", "‖error‖/‖logits‖", "verdict"), [row]


CP = Row(
    name="cp",
    title="CP of rank 64",
    about=(
        "Width 256, weight decay .5, noise .4, 20 epochs. 64 products of two projections, with a weight for each "
        "digit, stand in the place of the layer; nothing is refitted on images. The verdict allows the 64 terms .2 "
        "points."
    ),
    settings=("rank 64",),
    plan=plan,
    measure=measure,
    table=table,
)
