"""Eigenvectors while training, out of one run's checkpoints."""

import json

import numpy

from papers import images, runs
from papers.figures import figure, pixels
from papers.row import Row

LAST, SHOWN, DIGITS = 20, (1, 2, 4, 8, 20), (2, 5, 8)


def plan(setting, seed):
    changes = {"model.d_model": 256, "model.d_hidden": 256, "train.epochs": LAST, "train.weight_decay": 0.5}
    return {
        **images.config(seed, {**changes, "train.input_noise.std": 0.4}),
        "checkpoint": {"every_epochs": 1, "keep_last": LAST},
    }


def first_vectors(run, model, epoch):
    layer = images.layer_file(runs.decomposed(run, {"k": 5, "energy": "off"}, f"epoch-{epoch}", model))
    return layer["eigenvectors"].astype(numpy.float64), layer["eigenvalues"]


def epoch_of(checkpoint):
    state = json.loads((checkpoint / "trainer.json").read_text())
    return state["step"] * LAST // state["total_steps"]


def measure(config):
    run, result = runs.trained(config)
    by_epoch = {epoch_of(path): path for path in (run / "checkpoints").glob("step-*")}
    last, _ = first_vectors(run, by_epoch[LAST].relative_to(run), LAST)
    values = {"accuracy": result["accuracy"]}
    for epoch in SHOWN:
        vectors, eigenvalues = first_vectors(run, by_epoch[epoch].relative_to(run), epoch)
        values[f"cosine {epoch}"] = float(numpy.abs((vectors[:, 0] * last[:, 0]).sum(1)).mean())
        values[f"eigenvalue {epoch}"] = float(numpy.abs(eigenvalues[:, 0]).mean())
        if config["train"]["seed"] == 1:
            values[f"vectors {epoch}"] = [numpy.round(vectors[digit, 0], 4).tolist() for digit in DIGITS]
    return values


def table(found):
    one = "one run"
    rows = [
        (str(epoch), found.words(one, f"cosine {epoch}", "{:.3f}"), found.words(one, f"eigenvalue {epoch}", "{:.3f}"))
        for epoch in SHOWN
    ]
    return ("epoch", "|cosine| to the last epoch's first eigenvector", "mean largest |λ|"), rows


def drawn_run(found):
    """The numbers of the run whose eigenvectors are kept."""
    return next((numbers for numbers in found.values.get("one run", ()) if f"vectors {LAST}" in numbers), None)


def draw(found):
    kept = drawn_run(found)
    drawn, axes = figure(len(SHOWN), len(DIGITS), size=(5.6, 3.5))
    for column, epoch in enumerate(SHOWN):
        for row, digit in enumerate(DIGITS):
            if kept:
                vector, end = (numpy.array(kept[f"vectors {at}"][row]) for at in (epoch, LAST))
                pixels(axes[row, column], (vector * numpy.sign(vector @ end)).reshape(28, 28))
            if row == 0:
                axes[row, column].set_title(f"epoch {epoch}", fontsize=8)
            if column == 0:
                axes[row, column].set_ylabel(str(digit))
    return drawn


EPOCHS = Row(
    name="epochs",
    title="Eigenvectors while training",
    about=(
        "Published as pictures (P2). The first eigenvectors of digits at some epochs of one run, out of its "
        "checkpoints, each beside the last epoch's. Width 256, noise .4, weight decay .5, 20 epochs."
    ),
    settings=("one run",),
    plan=plan,
    measure=measure,
    table=table,
    figure=draw,
    seeds=3,
)
