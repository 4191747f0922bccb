"""Accuracy by the noise that is added to the pixels in training."""

from papers import images
from papers.figures import PUBLISHED, errorbars, figure
from papers.row import Row, verdict

STDS = (0.0, 0.2, 0.4, 0.6, 0.8)
REPRODUCED = {0.0: 97.6, 0.2: 98.1, 0.4: 98.1, 0.6: 97.8, 0.8: 97.2}  # a reproduction (PI)


def plan(setting, seed):
    return images.config(seed, {"train.input_noise.std": float(setting)})


def table(found):
    rows = [
        (
            str(std),
            "curve only",
            f"{REPRODUCED[std]}%",
            found.words(str(std), "accuracy", scale=100, unit="%"),
            found.words(str(std), "effective_rank", "{:.1f}"),
            verdict(100 * found.mean(str(std), "accuracy"), REPRODUCED[std], 0.2),
        )
        for std in STDS
    ]
    return (
        "noise, standard deviation",
        "published",
        "reproduced",
        "accuracy here",
        "effective rank here",
        "verdict",
    ), rows


def draw(found):
    drawn, ((left, right),) = figure(2, size=(6.8, 2.9))
    errorbars(left, STDS, found, "accuracy", "bilens", scale=100)
    left.plot(STDS, REPRODUCED.values(), "s--", color=PUBLISHED, label="a reproduction", markersize=4)
    left.set(xlabel="standard deviation of the noise", ylabel="test accuracy, %")
    left.legend(frameon=False)
    errorbars(right, STDS, found, "effective_rank", "bilens")
    right.set(xlabel="standard deviation of the noise", ylabel="effective rank", ylim=(0, None))
    return drawn


NOISE = Row(
    name="noise",
    title="Accuracy and effective rank by input noise",
    about=(
        "One bilinear layer of width 512 on all of MNIST: 50 epochs, weight decay 1, rate 1e-3, batches of 2048. "
        "Published as a curve (P2, table 1); the numbers are a reproduction's (PI). The verdict allows .2 points."
    ),
    settings=tuple(map(str, STDS)),
    plan=plan,
    measure=images.accuracy_and_rank,
    table=table,
    figure=draw,
)
