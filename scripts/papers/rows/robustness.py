"""The exact smallest perturbations of all test images."""

from safetensors.numpy import load_file

from papers import images, runs
from papers.figures import OTHER, OWN, PUBLISHED, figure
from papers.row import Row

CHANGES = {
    "no regularisation": {"train.input_noise.std": 0.0, "train.weight_decay": 0.0},
    "weight decay": {"train.input_noise.std": 0.0, "train.weight_decay": 1.0},
    "both": {"train.input_noise.std": 0.5, "train.weight_decay": 1.0},
}
LENGTHS = (0.5, 1.0, 1.5, 2.0)


def plan(setting, seed):
    changes = {"model.d_model": 256, "model.d_hidden": 256, "train.epochs": 20, **CHANGES[setting]}
    return {"train": images.config(seed, changes), "bounded": 1000 if seed == 1 else 0}


def measure(plan):
    run, result = runs.trained(plan["train"])
    changes = {"bounded_images": plan["bounded"], "masks.eigenvectors": 0}
    out = run / "attack"
    found = runs.bilens("attack", run, "--out", out, "--threads", 1, *runs.settings(changes))
    tensors = load_file(out / "attack.safetensors")
    right = tensors["labels"] == tensors["prediction"]
    values = {
        "accuracy": result["accuracy"],
        "median": found["smallest"]["median_upper"],
        "largest_gap": found["smallest"]["largest_gap"],
        "beyond_range": found["beyond_range"],
        "gradient_ratio": found["gradient"]["median_ratio"],
        "below_bound": float(found["gradient"]["below_bound"]),
    }
    for length in LENGTHS:
        values[f"robust {length}"] = float((right & (tensors["lower"] > length)).mean())
    curve = found["curve"]
    values["curve"] = [curve["length"], curve["lower"], curve["upper"]]
    if plan["bounded"]:
        bounded = found["bounded"]
        values["bounded_lower"], values["bounded_upper"] = bounded["median_lower"], bounded["median_upper"]
        values["bounded_exact"] = bounded["exact"] / bounded["images"]
        values["bounded_curve"] = [found["bounded_curve"][key] for key in ("length", "lower", "upper")]
    return values


def bounded_words(found, setting):
    first = next((v for v in found.values.get(setting, ()) if "bounded_lower" in v), None)
    if first is None:
        return "–"
    low, high = first["bounded_lower"], first["bounded_upper"]
    between = f"{low:.3f}" if high - low < 1e-3 else f"{low:.3f} to {high:.3f}"
    return f"{between}, exact for {100 * first['bounded_exact']:.1f}%"


def table(found):
    rows = [
        (
            setting,
            found.words(setting, "accuracy", scale=100, unit="%"),
            found.words(setting, "median", "{:.3f}"),
            *(found.words(setting, f"robust {length}", "{:.1f}", 100, "%") for length in LENGTHS),
            f"{max(found.numbers(setting, 'largest_gap'), default=float('nan')):.0e}",
            found.words(setting, "beyond_range", "{:.0f}", 100, "%"),
            bounded_words(found, setting),
            found.words(setting, "gradient_ratio", "{:.4f}"),
            f"{sum(found.numbers(setting, 'below_bound')):.0f}",
        )
        for setting in CHANGES
    ]
    head = (
        "trained with",
        "accuracy",
        "median smallest change",
        *(f"proved at {length}" for length in LENGTHS),
        "largest gap of the bounds",
        "of its squared length beyond [0, 1]",
        "median within [0, 1], first 1,000 images",
        "gradient attack, times the smallest",
        "of these below the bound",
    )
    return head, rows


def draw(found):
    drawn, ((axes,),) = figure()
    for setting, colour in zip(CHANGES, (PUBLISHED, OTHER, OWN)):
        for values in found.values.get(setting, ())[:1]:
            length, lower, _ = values["curve"]
            axes.plot(length, [100 * share for share in lower], color=colour, label=setting)
            if "bounded_curve" in values:
                length, lower, upper = values["bounded_curve"]
                low, high = ([100 * share for share in shares] for shares in (lower, upper))
                axes.fill_between(length, low, high, color=colour, alpha=0.35, linewidth=0)
                axes.plot(length, low, "--", color=colour, linewidth=1, label=f"{setting}, pixels in [0, 1]")
    axes.set(xlabel="length of the change ‖δ‖, in pixel/255", ylabel="proved robust accuracy, %", ylim=(0, 100))
    axes.set_xlim(0, 4)
    axes.legend(frameon=False, fontsize=8)
    return drawn


ROBUSTNESS = Row(
    name="robustness",
    title="The smallest perturbation of each image, exactly",
    about=(
        "Not published before. For all 10,000 test images the shortest change that gives another class, found and "
        "proved by `bilens attack` ([methods](methods.md)): lengths are Euclidean, in pixel/255. Beside it the "
        "changes that keep all pixels in [0, 1], for the first 1,000 images of one seed, and what an attack by "
        "gradients of 40 steps finds, which is never less than the bound. Width 256, 20 epochs."
    ),
    settings=tuple(CHANGES),
    plan=plan,
    measure=measure,
    table=table,
    figure=draw,
)
