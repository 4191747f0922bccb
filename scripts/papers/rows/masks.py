"""Adversarial masks out of eigenvectors."""

from papers import images, runs
from papers.figures import OTHER, OWN, PUBLISHED, figure
from papers.row import Row, verdict

STRENGTHS = (0.1, 0.15, 0.2, 0.3)
# A reproduction (PI). Of the model trained with noise: accuracy and share with the mask's class, in percent. Of the
# one without noise, masks on edges alone.
REPRODUCED = {0.1: (97.9, 0.8), 0.2: (85.7, 9.0), 0.3: (62.5, 27.6)}
REPRODUCED_EDGE = {0.1: 82.7, 0.15: 64.9, 0.3: 32.6}
NOISE = {"noise": 0.5, "no noise": 0.0}


def plan(setting, seed):
    return images.config(seed, {"train.input_noise.std": NOISE[setting], "train.epochs": 20})


def measure(config):
    run, _ = runs.trained(config)
    changes = {"bounded_images": 0, "gradient_steps": 0, "images": 0, "shown": 0, "masks.strengths": list(STRENGTHS)}
    found = runs.bilens("attack", run, "--out", run / "masks", "--threads", 1, *runs.settings(changes))
    values = {}
    for mask in found["masks"]:
        name = f"{mask['kind']} {mask['strength']:g}"
        values[f"{name} accuracy"], values[f"{name} misclassified"] = mask["accuracy"], mask["misclassified"]
    return values


def table(found):
    rows = []
    for strength, (accuracy, wrong) in REPRODUCED.items():
        name = f"eigenvector {strength:g}"
        ours = 100 * found.mean("noise", f"{name} accuracy")
        rows.append(
            (
                "eigenvectors, model trained with noise",
                str(strength),
                f"{accuracy}%, {wrong}%",
                f"{found.words('noise', f'{name} accuracy', '{:.1f}', 100, '%')}, "
                f"{found.words('noise', f'{name} misclassified', '{:.1f}', 100, '%')}",
                found.words("noise", f"random {strength:g} accuracy", "{:.1f}", 100, "%"),
                verdict(ours, accuracy, 5),
            )
        )
    for strength, accuracy in REPRODUCED_EDGE.items():
        name = f"edge {strength:g}"
        rows.append(
            (
                "edges, model trained without",
                str(strength),
                f"{accuracy}%",
                f"{found.words('no noise', f'{name} accuracy', '{:.1f}', 100, '%')}, "
                f"{found.words('no noise', f'{name} misclassified', '{:.1f}', 100, '%')}",
                found.words("no noise", f"random {strength:g} accuracy", "{:.1f}", 100, "%"),
                verdict(100 * found.mean("no noise", f"{name} accuracy"), accuracy, 10),
            )
        )
    head = ("masks", "strength", "reproduced", "accuracy, gets the mask's digit", "random masks, accuracy", "verdict")
    return head, rows


def draw(found):
    drawn, ((left, right),) = figure(2, size=(6.8, 2.9))
    for axes, setting, kinds, theirs in (
        (left, "noise", ("eigenvector", "random"), {s: a for s, (a, _) in REPRODUCED.items()}),
        (right, "no noise", ("edge", "random edge"), REPRODUCED_EDGE),
    ):
        for kind, colour in zip(kinds, (OTHER, OWN)):
            means = [100 * found.mean(setting, f"{kind} {s:g} accuracy") for s in STRENGTHS]
            spread = [100 * found.spread(setting, f"{kind} {s:g} accuracy") for s in STRENGTHS]
            axes.errorbar(STRENGTHS, means, spread, marker="o", markersize=4, capsize=3, color=colour, label=kind)
        axes.plot(theirs.keys(), theirs.values(), "s--", color=PUBLISHED, label="a reproduction", markersize=4)
        axes.set(
            xlabel="strength of the mask", ylim=(0, 100), title=f"trained with {setting}".replace("with no", "without")
        )
        axes.legend(frameon=False, fontsize=8)
    left.set(ylabel="accuracy on other digits, %")
    return drawn


MASKS = Row(
    name="masks",
    title="Adversarial masks from eigenvectors",
    about=(
        "Masks are the duals, over the pixels, of the three eigenvectors of largest positive eigenvalue of each "
        "digit: each moves one projection and no other (`bilens attack`). Their strength is the root mean square "
        "over the pixels. Edge masks are kept to pixels whose mean is below .01. Width 512, 20 epochs, weight decay "
        "1. The numbers are a reproduction's (PI), which does not state how masks are scaled; the verdict allows 5 "
        "points, of edges 10."
    ),
    settings=tuple(NOISE),
    plan=plan,
    measure=measure,
    table=table,
    figure=draw,
)
