"""How many eigenvectors of each digit keep the accuracy, by width."""

import json

from papers import runs
from papers.figures import PUBLISHED, errorbars, figure
from papers.row import Row, verdict
from papers.rows import widths

REPRODUCED = dict(zip(widths.WIDTHS, (11, 13, 16, 20, 23, 29)))  # a reproduction (PI)
MOST_LOST = 0.001  # of the accuracy


def plan(setting, seed):
    return widths.config(int(setting), seed)


def measure(config):
    run, result = runs.trained(config)
    folder = runs.decomposed(run, {"k": 64, "analyses": ["truncation"], "energy": "off"}, "truncation")
    study = json.loads((folder / "study.json").read_text())
    curve, whole = study["truncation"][0], study["validation"]["accuracy"]
    pairs = zip(curve["k"], curve["validation"]["accuracy"], curve["accuracy"])
    k, test = next((k, test) for k, validation, test in pairs if validation > whole - MOST_LOST)
    return {"k": float(k), "accuracy": result["accuracy"], "kept_accuracy": test}


def table(found):
    rows = []
    for width, theirs in REPRODUCED.items():
        setting = str(width)
        lost = 100 * (found.mean(setting, "accuracy") - found.mean(setting, "kept_accuracy"))
        rows.append(
            (
                setting,
                str(theirs),
                found.words(setting, "k", "{:.1f}"),
                f"{lost:.2f}",
                found.words(setting, "accuracy", scale=100, unit="%"),
                verdict(found.mean(setting, "k"), theirs, 0.25 * theirs),
            )
        )
    return ("width", "reproduced k", "k here", "points lost on the test images", "accuracy", "verdict"), rows


def draw(found):
    drawn, ((axes,),) = figure()
    errorbars(axes, widths.WIDTHS, found, "k", "bilens")
    axes.plot(REPRODUCED.keys(), REPRODUCED.values(), "s--", color=PUBLISHED, label="a reproduction", markersize=4)
    axes.set(xscale="log", xlabel="width", ylabel="eigenvectors of each digit", ylim=(0, None))
    axes.set_xticks(widths.WIDTHS, widths.WIDTHS)
    axes.minorticks_off()
    axes.legend(frameon=False)
    return drawn


TRUNCATION = Row(
    name="truncation",
    title="Eigenvectors a digit for less than .1% loss",
    about=(
        f"{widths.ABOUT} k is the smallest number of eigenvectors of each digit with less than .1 points of validation "
        "accuracy lost; what it loses on the test images stands beside it. The numbers are a reproduction's (PI); the "
        "verdict allows a quarter."
    ),
    settings=tuple(map(str, widths.WIDTHS)),
    plan=plan,
    measure=measure,
    table=table,
    figure=draw,
    near={"k": 2.0},  # a few images of the validation part decide it
)
