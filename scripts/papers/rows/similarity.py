"""How alike the top eigenvectors of different seeds are, by width, with nulls."""

import itertools

import numpy

from papers import images, runs
from papers.figures import OTHER, OWN, PUBLISHED, figure
from papers.row import Row, verdict
from papers.rows import widths

# Read off a reproduction's figure (PI): its mean over all pairs of five seeds, each with itself among them.
REPRODUCED = {30: 0.82, 1000: 0.92}
SEEDS = 5


def plan(setting, seed):
    """One run stands for a group of five seeds."""
    return [widths.config(int(setting), SEEDS * (seed - 1) + i) for i in range(1, SEEDS + 1)]


def top_vectors(config):
    run, _ = runs.trained(config)
    layer = images.layer_file(runs.decomposed(run, {"k": 1, "energy": "off"}, "top"))
    return layer["eigenvectors"][:, 0].astype(numpy.float64)


def measure(configs):
    vectors = numpy.stack([top_vectors(config) for config in configs])  # [seeds, 10, 784]
    cosines = numpy.abs(numpy.einsum("acd,bed->abce", vectors, vectors))
    own = numpy.einsum("abcc->abc", cosines).mean(2)  # [seeds, seeds]
    pairs = list(itertools.combinations(range(len(vectors)), 2))
    other = 1 - numpy.eye(10)
    classes = [(cosines[a, b] * other).sum() / other.sum() for a, b in pairs]
    best_wrong = [(cosines[a, b] * other).max(1).mean() for a, b in pairs]
    drawn = numpy.random.default_rng(0).standard_normal((2, 200, vectors.shape[2]))
    drawn /= numpy.linalg.norm(drawn, axis=2, keepdims=True)
    return {
        "with_self_pairs": float(own.mean()),
        "pairs": float(numpy.mean([own[pair] for pair in pairs])),
        "smallest_pair": float(min(own[pair] for pair in pairs)),
        "other_class": float(numpy.mean(classes)),
        "best_wrong_class": float(numpy.mean(best_wrong)),
        "random": float(numpy.abs((drawn[0] * drawn[1]).sum(1)).mean()),
    }


def table(found):
    rows = []
    for width in widths.WIDTHS:
        setting, theirs = str(width), REPRODUCED.get(width)
        words = [found.words(setting, name, "{:.3f}") for name in COLUMNS]
        rows.append(
            (
                setting,
                f"{theirs}" if theirs else "between",
                *words,
                verdict(found.mean(setting, "with_self_pairs"), theirs, 0.05) if theirs else "–",
            )
        )
    return ("width", "reproduced, self-pairs in", *COLUMNS.values(), "verdict"), rows


COLUMNS = {
    "with_self_pairs": "here, self-pairs in",
    "pairs": "here, without",
    "smallest_pair": "least of the pairs",
    "other_class": "null: another digit",
    "best_wrong_class": "null: the likest other digit",
    "random": "null: random vectors",
}


def draw(found):
    drawn, ((axes,),) = figure()
    for name, colour, style in (
        ("with_self_pairs", PUBLISHED, "s--"),
        ("pairs", OWN, "o-"),
        ("best_wrong_class", OTHER, "^-"),
        ("other_class", OTHER, "v:"),
        ("random", PUBLISHED, ":"),
    ):
        means = [found.mean(str(width), name) for width in widths.WIDTHS]
        axes.plot(widths.WIDTHS, means, style, color=colour, label=COLUMNS[name], markersize=4)
    axes.set(xscale="log", xlabel="width", ylabel="|cosine| of the top eigenvectors", ylim=(0, 1))
    axes.set_xticks(widths.WIDTHS, widths.WIDTHS)
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    return drawn


SIMILARITY = Row(
    name="similarity",
    title="Top eigenvectors across seeds",
    about=(
        f"{widths.ABOUT} Mean |cosine| of the first eigenvectors of the same digit in models of {SEEDS} seeds. "
        "Published (P2: 0.8 to 0.9) with each model beside itself among the pairs, which is 1 and raises the mean; "
        "both means stand here. The nulls are the first eigenvectors of other digits, the likest of these, and "
        "random vectors. The verdict is of the mean that was published and allows .05."
    ),
    settings=tuple(map(str, widths.WIDTHS)),
    plan=plan,
    measure=measure,
    table=table,
    figure=draw,
    seeds=1,
)
