"""Accuracy and effective rank without regularisation, with noise, with weight decay, and with both."""

import functools

from papers import images
from papers.figures import OTHER, OWN, PUBLISHED, figure
from papers.row import Row, verdict

CHANGES = {
    "none": {"train.input_noise.std": 0.0, "train.weight_decay": 0.0},
    "noise": {"train.input_noise.std": 0.5, "train.weight_decay": 0.0},
    "weight decay": {"train.input_noise.std": 0.0, "train.weight_decay": 1.0},
    "both": {"train.input_noise.std": 0.5, "train.weight_decay": 1.0},
}
# A reproduction (MB), five seeds: accuracy in percent, effective rank.
REPRODUCED = {
    "mnist": {"none": (97.49, 38.5), "noise": (98.34, 82.2), "weight decay": (97.49, 15.5), "both": (98.01, 26.0)},
    "fashion-mnist": {"none": (88.5, 47.2), "noise": (86.8, 87.7), "weight decay": (87.3, 11.8), "both": (86.0, 20.1)},
}
POINTS = {"mnist": 0.3, "fashion-mnist": 0.7}  # of accuracy that the verdict allows: its settings are not all stated


def plan(dataset, setting, seed):
    return images.config(seed, {"data.dataset": dataset, "data.path": f"data/{dataset}", **CHANGES[setting]})


def table(dataset, found):
    rows = []
    for setting, (accuracy, rank) in REPRODUCED[dataset].items():
        rows.append(
            (
                setting,
                f"{accuracy}%",
                found.words(setting, "accuracy", scale=100, unit="%"),
                verdict(100 * found.mean(setting, "accuracy"), accuracy, POINTS[dataset]),
                str(rank),
                found.words(setting, "effective_rank", "{:.1f}"),
                verdict(found.mean(setting, "effective_rank"), rank, 0.25 * rank),
            )
        )
    head = (
        "regularisation",
        "reproduced",
        "accuracy here",
        "verdict",
        "rank reproduced",
        "effective rank here",
        "verdict",
    )
    return head, rows


def draw(dataset, found):
    drawn, ((left, right),) = figure(2, size=(6.8, 2.9))
    names, places = list(CHANGES), range(len(CHANGES))
    for axes, key, which, scale in ((left, "accuracy", 0, 100), (right, "effective_rank", 1, 1)):
        theirs = [REPRODUCED[dataset][name][which] for name in names]
        axes.bar([p - 0.2 for p in places], theirs, 0.38, color=PUBLISHED, label="a reproduction")
        axes.bar(
            [p + 0.2 for p in places],
            [scale * found.mean(name, key) for name in names],
            0.38,
            yerr=[scale * found.spread(name, key) for name in names],
            color=OWN if which == 0 else OTHER,
            label="bilens",
            capsize=3,
        )
        axes.set_xticks(list(places), names)
        axes.legend(frameon=False)
    left.set(ylabel="test accuracy, %", ylim=(min(t[0] for t in REPRODUCED[dataset].values()) - 1.5, None))
    right.set(ylabel="effective rank")
    return drawn


def row(dataset, name, words):
    return Row(
        name=name,
        title=f"Regularisation, {words}",
        about=(
            f"Width 512, 50 epochs on all of {words}, with noise of .5 and weight decay of 1 or without. The numbers "
            f"are a reproduction's (MB), which does not state width and epochs. The verdict allows {POINTS[dataset]} "
            "points of accuracy and a quarter of the rank."
        ),
        settings=tuple(CHANGES),
        plan=functools.partial(plan, dataset),
        measure=images.accuracy_and_rank,
        table=functools.partial(table, dataset),
        figure=functools.partial(draw, dataset),
    )


REGULARISATION = row("mnist", "regularisation", "MNIST")
REGULARISATION_FASHION = row("fashion-mnist", "regularisation-fashion", "Fashion-MNIST")
