"""Figures in the form of the papers'."""

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams.update(
    {"svg.hashsalt": "papers", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
)

from matplotlib import pyplot  # noqa: E402 (the back end has to be chosen before)

OWN, PUBLISHED, OTHER = "#2468b4", "#787e84", "#c95c10"


def figure(columns=1, rows=1, size=(5.2, 3.2)):
    return pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)


def errorbars(axes, x, found, name, label, scale=1.0, colour=OWN, settings=None):
    """Means over seeds with their standard deviations."""
    settings = settings or [str(value) for value in x]
    axes.errorbar(
        x,
        [scale * found.mean(setting, name) for setting in settings],
        [scale * found.spread(setting, name) for setting in settings],
        marker="o",
        markersize=4,
        capsize=3,
        color=colour,
        label=label,
    )


def pixels(axes, values, title=""):
    """A vector over pixels, zero in the middle of the colours."""
    most = abs(values).max() or 1.0
    axes.imshow(values, cmap="PuOr_r", vmin=-most, vmax=most, interpolation="nearest")
    axes.set(xticks=[], yticks=[], title=title)
