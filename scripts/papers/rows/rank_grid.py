"""Effective rank over the grid of weight decay and noise."""

import itertools

import numpy

from papers import images
from papers.figures import figure
from papers.row import Row, verdict

DECAYS, STDS = (0.0, 0.1, 0.5, 1.0), (0.0, 0.25, 0.5, 1.0)
NAMES = {f"{decay}, {std}": (decay, std) for decay, std in itertools.product(DECAYS, STDS)}
REPRODUCED = {"1.0, 0.0": 25, "0.0, 1.0": 187}  # a reproduction (PI), read off a figure


def plan(setting, seed):
    decay, std = NAMES[setting]
    return images.config(seed, {"train.weight_decay": decay, "train.input_noise.std": std, "train.epochs": 20})


def table(found):
    rows = []
    for decay in DECAYS:
        cells = [found.words(f"{decay}, {std}", "effective_rank", "{:.1f}") for std in STDS]
        corner = [name for name in REPRODUCED if NAMES[name][0] == decay]
        theirs = ", ".join(f"{REPRODUCED[name]} at noise {NAMES[name][1]}" for name in corner)
        verdicts = ", ".join(
            verdict(found.mean(name, "effective_rank"), REPRODUCED[name], 0.25 * REPRODUCED[name]) for name in corner
        )
        rows.append((str(decay), *cells, theirs or "–", verdicts or "–"))
    return ("weight decay", *(f"noise {std}" for std in STDS), "reproduced", "verdict"), rows


def draw(found):
    drawn, ((axes,),) = figure(size=(4.2, 3.4))
    ranks = numpy.array([[found.mean(f"{decay}, {std}", "effective_rank") for std in STDS] for decay in DECAYS])
    axes.imshow(ranks, cmap="Blues", vmin=0)
    for (i, j), rank in numpy.ndenumerate(ranks):
        axes.text(
            j, i, f"{rank:.0f}", ha="center", va="center", color="white" if rank > numpy.nanmax(ranks) / 2 else "black"
        )
    axes.set_xticks(range(len(STDS)), STDS)
    axes.set_yticks(range(len(DECAYS)), DECAYS)
    axes.set(xlabel="standard deviation of the noise", ylabel="weight decay", title="effective rank")
    return drawn


RANK_GRID = Row(
    name="rank-grid",
    title="Effective rank over weight decay and noise",
    about=(
        "Width 512, 20 epochs on all of MNIST. Both corners are a reproduction's (PI), read off its figure; the "
        "verdict allows a quarter."
    ),
    settings=tuple(NAMES),
    plan=plan,
    measure=images.accuracy_and_rank,
    table=table,
    figure=draw,
    seeds=2,
)
