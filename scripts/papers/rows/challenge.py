"""Labels by the cosine to one image: the task has one eigenvector, shaped like that image."""

import numpy

from papers import images, runs
from papers.figures import figure, pixels
from papers.row import Row

TARGET = 7  # number of the image of the training part
DARK = 0.01  # mean of a pixel below which training says little about it


def cosines(pictures):
    rows = pictures.reshape(len(pictures), -1).astype(numpy.float64)
    return (rows @ target()) / numpy.linalg.norm(rows, axis=1)


def target():
    picture = runs.images_of("mnist", "train")[0][TARGET].ravel().astype(numpy.float64)
    return picture / numpy.linalg.norm(picture)


def task():
    """Four IDX files, as the data's path names them: the label is 1 where the cosine is above the training median."""
    folder = runs.MODELS / "challenge-data"
    names = [folder / f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images", "labels")]
    with runs.LOCKS[folder]:
        if not names[-1].exists():
            train, test = (runs.images_of("mnist", part)[0] for part in ("train", "t10k"))
            threshold = numpy.median(cosines(train))
            for part, pictures in (("train", train), ("t10k", test)):
                runs.write_idx(folder / f"{part}-images", pictures)
                runs.write_idx(folder / f"{part}-labels", cosines(pictures) > threshold)
    return ",".join(map(str, names))


def plan(setting, seed):
    return images.config(seed, base="challenge")


def measure(config):
    run, result = runs.trained(runs.with_changes(config, {"data.path": task()}))
    values, vectors = images.whole_spectrum(run)
    seen = runs.images_of("mnist", "train")[0].reshape(-1, 784).mean(0) / 255 >= DARK
    order = numpy.argsort(-numpy.abs(values[1]))  # of label 1
    first, second = order[:2]
    vector = vectors[1, first].ravel()
    return {
        "accuracy": result["accuracy"],
        "first": float(values[1, first]),
        "ratio": float(abs(values[1, first] / values[1, second])),
        "cosine": float(abs(vector @ target())),
        "cosine_seen": float(abs(vector[seen] @ target()[seen]) / numpy.linalg.norm(vector[seen])),
        "vector": [round(float(v), 4) for v in vector],
    }


def table(found):
    one = "one bilinear layer"
    reproduced = found.mean(one, "cosine_seen") > 0.8 and found.mean(one, "ratio") > 2 and found.mean(one, "first") > 0
    row = (
        "one large positive eigenvalue, shaped like the image",
        found.words(one, "accuracy", scale=100, unit="%"),
        found.words(one, "first", "{:+.2f}"),
        found.words(one, "ratio", "{:.1f}"),
        found.words(one, "cosine", "{:.3f}"),
        found.words(one, "cosine_seen", "{:.3f}"),
        "reproduced" if reproduced else "not reproduced",
    )
    head = (
        "published",
        "accuracy",
        "largest λ of label 1",
        "times the next |λ|",
        "|cosine| to the image",
        "over pixels seen",
        "verdict",
    )
    return head, [row]


def draw(found):
    drawn, ((left, right),) = figure(2, size=(4.4, 2.4))
    pixels(left, target().reshape(28, 28), "the image")
    vectors = [numpy.array(v) for v in found.numbers("one bilinear layer", "vector")]
    if vectors:
        vector = vectors[0] * numpy.sign(vectors[0] @ target())
        pixels(right, vector.reshape(28, 28), "the first eigenvector")
    return drawn


CHALLENGE = Row(
    name="challenge",
    title="The challenge task",
    about=(
        "Labels say whether the cosine of an MNIST image to one training image is above its median. Width 64, with "
        "biases, 100 epochs, as published (P2). The verdict wants the largest eigenvalue of label 1 to be positive, "
        "at least twice the next one in size, and a cosine of .8 to the image over the pixels whose mean is at least "
        ".01: weights of dark pixels are hardly trained."
    ),
    settings=("one bilinear layer",),
    plan=plan,
    measure=measure,
    table=table,
    figure=draw,
)
