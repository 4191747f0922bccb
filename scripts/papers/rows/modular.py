"""Addition modulo 113: the eigenvectors are waves."""

import numpy

from papers import images, runs
from papers.figures import OTHER, OWN, figure
from papers.row import Row

P, KEPT_BACK = 113, 0.2
TOP = 4  # eigenvectors of each sum that are looked at


def task():
    """Pairs (a, b) as pictures of two rows with one bright pixel each; the label is a + b modulo P."""
    folder = runs.MODELS / "modular-data"
    names = [folder / f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images", "labels")]
    with runs.LOCKS[folder]:
        if not names[-1].exists():
            a, b = numpy.divmod(numpy.random.default_rng(0).permutation(P * P), P)
            pictures = 255 * numpy.stack([numpy.eye(P)[a], numpy.eye(P)[b]], 1)
            cut = int((1 - KEPT_BACK) * P * P)
            for part, rows in (("train", slice(cut)), ("t10k", slice(cut, None))):
                runs.write_idx(folder / f"{part}-images", pictures[rows])
                runs.write_idx(folder / f"{part}-labels", ((a + b) % P)[rows])
    return ",".join(map(str, names))


def plan(setting, seed):
    return images.config(seed, base="modular")


def powers(vectors):
    """Share of each frequency 1 … 56 in vectors [..., 226], over both halves: [..., 56]."""
    waves = numpy.fft.rfft(vectors.reshape(*vectors.shape[:-1], 2, P), axis=-1)
    power = (numpy.abs(waves) ** 2).sum(-2)
    return power[..., 1:] / power[..., 1:].sum(-1, keepdims=True)


def measure(config):
    run, result = runs.trained(runs.with_changes(config, {"data.path": task()}))
    _, vectors = images.whole_spectrum(run)
    shares = powers(vectors[:, :TOP].astype(numpy.float64))
    chance = powers(numpy.random.default_rng(0).standard_normal((500, 2 * P))).max(-1).mean()
    main = shares.argmax(-1) + 1
    counts = numpy.bincount(main.ravel(), minlength=P // 2 + 1)
    used = [int(f) for f in numpy.argsort(-counts) if counts[f] > 0.02 * main.size]
    first = vectors[0, 0].astype(numpy.float64)
    return {
        "accuracy": result["accuracy"],
        "share": float(shares.max(-1).mean()),
        "chance": float(chance),
        "frequencies": used,
        "in_one_pair": float((main[:, 0] == main[:, 1]).mean()),
        "wave": [round(float(v), 5) for v in first],
        "spectrum": [round(float(v), 5) for v in shares.mean((0, 1))],
    }


def table(found):
    one = "p = 113"
    frequencies = ["{" + ", ".join(map(str, sorted(used))) + "}" for used in found.numbers(one, "frequencies")]
    enough = found.mean(one, "accuracy") > 0.99 and found.mean(one, "share") > 0.8
    row = (
        found.words(one, "accuracy", scale=100, unit="%"),
        found.words(one, "share", "{:.3f}"),
        found.words(one, "chance", "{:.3f}"),
        "; ".join(frequencies) or "–",
        "reproduced" if enough else "not reproduced",
    )
    head = (
        "accuracy on pairs not seen",
        "power at an eigenvector's main frequency",
        "of a random vector",
        "frequencies of each run",
        "verdict",
    )
    return head, [row]


def draw(found):
    drawn, ((left, right),) = figure(2, size=(6.8, 2.6))
    for wave in found.numbers("p = 113", "wave")[:1]:
        left.plot(wave[:P], color=OWN, label="over a")
        left.plot(wave[P:], color=OTHER, label="over b")
    for spectrum in found.numbers("p = 113", "spectrum")[:1]:
        right.bar(range(1, len(spectrum) + 1), spectrum, color=OWN)
    left.set(xlabel="a or b", title="first eigenvector of the sum 0")
    left.legend(frameon=False, fontsize=8)
    right.set(xlabel="frequency", title=f"mean power of {TOP} eigenvectors a sum")
    return drawn


MODULAR = Row(
    name="modular",
    title="Modular addition",
    about=(
        "Addition modulo 113 from one-hot pairs, one bilinear layer of width 256, weight decay 1, 2,000 epochs on "
        "four fifths of all pairs. The eigenvectors of a sum's form over both inputs should be waves of few "
        "frequencies, the same over a and b (the authors' later work). The verdict wants 99% accuracy and four "
        "fifths of the power at one frequency."
    ),
    settings=("p = 113",),
    plan=plan,
    measure=measure,
    table=table,
    figure=draw,
    seeds=3,
)
