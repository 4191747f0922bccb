"""Figures of decompositions and runs by matplotlib: labelled, with colours that colour-blind readers tell apart.

Every function draws into `ax` where it is given, else into a figure of its own of `figsize` inches, and returns the
Axes that it drew into, so that `ax.figure.savefig("spectrum.pdf")` and every change of matplotlib's are possible.
Positive is blue and negative orange, as in the reports, with zero in the middle.

    pip install 'bilens[plot]'
"""

import json
import os
import pathlib
import re
import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bilens._errors import InputError, UsageError, problem
from bilens._layers import BilinearLayer, require_memory
from bilens._models import Array, as_tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage

    from bilens._decomposition import Decomposition, Layer

Path: TypeAlias = str | os.PathLike[str]
Figsize: TypeAlias = tuple[float, float] | None
Floats: TypeAlias = npt.NDArray[np.float64]
Panels: TypeAlias = "npt.NDArray[np.object_]"

POSITIVE, NEGATIVE, NEUTRAL = "#1b61b5", "#b85106", "#4a5058"
VALIDATION, TEST = "#0b7468", "#9c2c77"
_MOST_DIRECTIONS = 32  # that are drawn where none are named
_SMALL, _NORMAL = 8, 9  # points
_CELL, _LINE = 0.602, 1.7  # width of a letter of matplotlib's monospace font, height of a line, in sizes of the font


def plot_spectrum(
    of: "Decomposition | Layer",
    directions: int | Sequence[int] | None = None,
    *,
    ax: "Axes | None" = None,
    figsize: Figsize = None,
) -> "Axes":
    """Draw the eigenvalues of output directions, with the proved bound on all others where there is one.

    One direction gives bars by rank, several give a column of levels each. The band reaches from −b to b of
    `certified_bound`: no eigenvalue that is not drawn lies beyond it.

    Args:
        of: a layer, or a decomposition of a single one.
        directions: one of the n, or several; without it the first 32.
        ax: Axes to draw into.
        figsize: width and height of the figure in inches.

    Raises:
        bilens.UsageError: for directions that are not there, or a method without eigenvalues.

    Example:
        >>> d = bilens.decompose(torch.eye(4), torch.eye(4), torch.eye(4), k=2, certify=True)
        >>> d.plot_spectrum(figsize=(5, 3)).get_ylabel()
        'eigenvalue λ'
    """
    layer = _layer_of(of)
    values = _array(layer.eigenvalues)
    chosen = _chosen(layer, directions)
    bounds = np.full(layer.count, np.nan)
    if "certified_bound" in layer.tensors:
        bounds = _array(layer.certified_bound)
    (axes,) = _axes(1, ax, figsize, (4.5, 2.8) if len(chosen) <= 12 else (6.5, 2.8))
    if len(chosen) == 1:
        _bars(axes, values[chosen[0]], bounds[chosen[0]])
        axes.set_xlabel("eigenvector, by falling |λ|")
        _title(axes, _direction_label(layer, chosen[0]))
    else:
        _levels(axes, values[chosen], bounds[chosen])
        names = layer.direction_names or [str(u) for u in range(layer.count)]
        _categories(axes, [names[u] for u in chosen])
        axes.set_xlabel(
            "output direction" + ("" if len(chosen) == layer.count else f", {len(chosen)} of {layer.count}")
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylabel("eigenvalue λ" + _unit(layer))
    if np.isfinite(bounds[chosen]).any():
        above: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
        axes.legend(frameon=False, fontsize=_SMALL, **({} if len(chosen) == 1 else above))
    return axes


def plot_eigenvectors(
    of: "Decomposition | Layer",
    shape: tuple[int, int] | None = None,
    direction: int = 0,
    count: int | None = None,
    *,
    colorbar: bool = True,
    ax: "Axes | Iterable[Axes] | None" = None,
    figsize: Figsize = None,
) -> Panels:
    """Draw the first eigenvectors of a direction as images, all on one scale.

    Args:
        of: a layer, or a decomposition of a single one, whose inputs are pixels.
        shape: height and width of the images in pixels, such as (28, 28); a decomposition of an image classifier knows
            it where its eigenvectors are over pixels.
        direction: one of the n.
        count: how many eigenvectors, by falling |λ|; without it six, or all where there are fewer.
        colorbar: whether to draw the scale.
        ax: as many Axes as there are images.
        figsize: width and height of the figure in inches.

    Returns:
        The `count` Axes of the images, each with its eigenvalue as title.

    Raises:
        bilens.UsageError: where the shape does not hold d_in pixels, or direction or count are not there.

    Example:
        >>> d = bilens.decompose(torch.eye(4), torch.eye(4), torch.eye(4), k=3)
        >>> [axes.get_title() for axes in d.plot_eigenvectors((2, 2), direction=1, count=2)]
        ['0: λ = +1', '1: λ = 0']
    """
    layer = _layer_of(of)
    vectors = layer.eigenvectors
    _chosen(layer, direction)
    count = _count(count, vectors.shape[1], "eigenvectors", 6)
    height, width = _shape(of, shape, layer)
    images = _array(vectors[direction, :count]).reshape(count, height, width)
    values = _array(layer.eigenvalues[direction, :count])
    columns = min(count, 6)
    rows = -(-count // columns)
    size = (1.15 * columns + (0.7 if colorbar else 0), 1.15 * rows * height / width + 0.35 * rows)
    panels = _axes(count, ax, figsize, size, columns)
    largest = float(np.abs(images).max())
    for i, axes in enumerate(panels):
        drawn = _signed_image(axes, images[i], largest)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(True)
        axes.spines[:].set_linewidth(0.5)
        axes.set_title(f"{i}: λ = {_number(values[i])}", fontsize=_SMALL)
    if colorbar:
        _colorbar(panels, drawn, "entry of v")
    return np.array(panels, dtype=object)


def plot_truncation(
    of: "Decomposition | Layer",
    x: Array,
    y: Array | None = None,
    direction: int | None = None,
    *,
    measure: str = "r2",
    ax: "Axes | None" = None,
    figsize: Figsize = None,
) -> "Axes":
    """Draw how well the forms with their first k eigenpairs stand for the layer on given inputs, by k.

    Args:
        of: a layer, or a decomposition of a single one.
        x: inputs [..., d_in], as for `Layer.truncate`.
        y: what the layer gives along its directions, u·y: [..., n]. Without it, the form with all eigenpairs that were
            found stands in its place: the layer itself where k was the whole rank.
        direction: one of the n; without it, median and quartiles of all.
        measure: "r2", R² = 1 − Σ(u·y − ŷ)²/Σ(u·y − mean)², where a direction that does not vary has none; or "error",
            ‖u·y − ŷ‖/‖u·y‖.
        ax: Axes to draw into.
        figsize: width and height of the figure in inches.

    Raises:
        bilens.UsageError: for inputs or outputs of other shapes, and where no direction varies over the inputs.

    Example:
        >>> d = bilens.decompose(torch.eye(4), torch.eye(4), torch.eye(4), k=2)
        >>> ax = d.layers[0].plot_truncation(torch.randn(10, 4), direction=0)
        >>> ax.lines[0].get_ydata().tolist()[-1]
        1.0
    """
    if measure not in ("r2", "error"):
        raise UsageError(*problem("measure", '"r2" or "error"', repr(measure)))
    layer = _layer_of(of)
    most = layer.eigenvalues.shape[1]
    chosen = list(range(layer.count)) if direction is None else _chosen(layer, direction)
    forms = _forms_by_pairs(layer, x, chosen)
    target = forms[-1] if y is None else _outputs(y, (forms.shape[1], layer.count))[:, chosen]
    scale = _scales(target, measure)
    ks = _numbers_of_pairs(most)
    left = np.stack([np.square(forms[k] - target).sum(0) for k in ks])
    quality = 1 - left / scale if measure == "r2" else np.sqrt(left / scale)
    (axes,) = _axes(1, ax, figsize, (4.0, 2.8))
    if measure == "error":
        axes.set_yscale("log")
        quality[quality == 0] = np.nan
    drawn = [i for i, row in enumerate(quality) if np.isfinite(row).any()]  # no error of zero on a logarithmic axis
    ks, quality = [ks[i] for i in drawn], quality[drawn]
    middle = np.nanmedian(quality, axis=1)
    axes.plot(ks, middle, color=POSITIVE, marker="o", markersize=3, linewidth=1.5, label="median")
    if len(chosen) > 1:
        low, high = np.nanquantile(quality, [0.25, 0.75], axis=1)
        axes.fill_between(ks, low, high, color=POSITIVE, alpha=0.2, linewidth=0, label="quartiles")
        axes.legend(frameon=False, fontsize=_SMALL, title=f"{len(chosen)} directions", title_fontsize=_SMALL)
    else:
        _title(axes, _direction_label(layer, chosen[0]))
    _axis_of_pairs(axes, most)
    beside = "the layer" if y is not None else f"k = {most}"
    axes.set_ylabel(f"R² beside {beside}" if measure == "r2" else f"relative error beside {beside}")
    return axes


def plot_interactions(
    of: "Decomposition | Layer | BilinearLayer | Path",
    direction: int | None = None,
    *,
    u: Array | None = None,
    layer: int | None = None,
    count: int | None = None,
    ax: "Axes | None" = None,
    figsize: Figsize = None,
) -> "Axes":
    """Draw what interacts along a direction: the matrix Q over inputs, or the pairs of tokens that a study found.

    Args:
        of: a layer or a decomposition of a single one, for Q as its eigenpairs make it; a `bilens.BilinearLayer`, for
            the whole of Q; or the folder of a decomposition with a study of tokens, for its largest interactions.
        direction: one of the n, without it the first; not for a BilinearLayer.
        u: [d_out], for a BilinearLayer alone.
        layer: number of the layer, for a folder of several.
        count: pairs of tokens at most, for a folder; without it 20.
        ax: Axes to draw into.
        figsize: width and height of the figure in inches.

    Raises:
        bilens.UsageError: for arguments that do not go together. bilens.InputError: for a folder without such a study.
        bilens.ExhaustedError: for a Q that would take more than half of the free memory.

    Example:
        >>> mlp = bilens.BilinearLayer(torch.eye(3), torch.eye(3), torch.eye(3))
        >>> ax = bilens.plots.plot_interactions(mlp, u=torch.tensor([1.0, 0.0, -2.0]))
        >>> ax.images[0].get_array().diagonal().tolist()
        [1.0, 0.0, -2.0]
    """
    kind = "layer" if isinstance(of, BilinearLayer) else "folder" if isinstance(of, (str, os.PathLike)) else "pairs"
    foreign: dict[str, dict[str, Any]] = {
        "layer": {"direction": direction, "layer": layer, "count": count},
        "folder": {"u": u},
        "pairs": {"u": u, "layer": layer, "count": count},
    }
    for name, value in foreign[kind].items():
        if value is not None:
            raise UsageError(*problem(name, f"none for a {type(of).__name__}", repr(value)))
    if isinstance(of, (str, os.PathLike)):
        pairs = 20 if count is None else count
        return _plot_token_pairs(pathlib.Path(of), 0 if direction is None else direction, layer, pairs, ax, figsize)
    if isinstance(of, BilinearLayer):
        if u is None:
            raise UsageError(*problem("u", f"a direction [{of.d_out}] of the layer's output", "none"))
        if as_tensor(u, "u").dim() != 1:
            raise UsageError(*problem("u", f"one direction [{of.d_out}]", str(list(as_tensor(u, "u").shape))))
        matrix, words, unit = _array(of.Q(u)), "", ""
    else:
        part = _layer_of(of)
        (chosen,) = _chosen(part, 0 if direction is None else direction)
        matrix, words, unit = _matrix_of_pairs(part, chosen), _words(part, chosen), _unit(part)
    (axes,) = _axes(1, ax, figsize, (3.8, 3.1))
    image = _signed_image(axes, matrix, float(np.abs(matrix).max()))
    _whole_numbers(axes.xaxis)
    _whole_numbers(axes.yaxis)
    axes.set_xlabel("input j")
    axes.set_ylabel("input i")
    _title(axes, words)
    _colorbar([axes], image, "entry $Q_{ij}$" + unit)
    return axes


def plot_training(run: Path, quantity: str = "loss", *, ax: "Axes | None" = None, figsize: Figsize = None) -> "Axes":
    """Draw how a training or a conversion went, from metrics.jsonl.

    Args:
        run: folder of `bilens.train` or `bilens.finetune`, finished or not.
        quantity: a number that the lines have: "loss", "accuracy", "perplexity", "lr", "grad_norm", "beta", ...
        ax: Axes to draw into.
        figsize: width and height of the figure in inches.

    Returns:
        The Axes: steps of training as they are and, of more than 200, their moving mean; validation; test.

    Raises:
        bilens.UsageError: for a quantity that no line has. bilens.InputError: for a folder without a run.

    Example:
        >>> bilens.plots.plot_training("runs/demo", "accuracy")  # doctest: +SKIP
    """
    lines = _metrics(run)
    parts = {split: _curve(lines, split, quantity) for split in (None, "validation", "test")}
    if not any(len(steps) for steps, _ in parts.values()):
        texts = ("split", "text")
        names = ", ".join(sorted({key for line in lines for key in line if key not in texts} - {"step"}))
        raise UsageError(*problem("quantity", f"one of {names}", repr(quantity)))
    (axes,) = _axes(1, ax, figsize, (4.5, 2.8))
    steps, values = parts[None]
    of_training = "training" if quantity != "loss" or not _is_conversion(run) else "training, what is minimised"
    if len(steps) > 200:
        width = max(len(steps) // 50, 2)
        axes.plot(steps, values, color=NEUTRAL, alpha=0.3, linewidth=0.7, label=of_training)
        mean = np.convolve(values, np.full(width, 1 / width), mode="valid")
        middle = np.convolve(steps, np.full(width, 1 / width), mode="valid")
        axes.plot(middle, mean, color=NEUTRAL, linewidth=1.5, label=f"mean of {width} steps")
    elif len(steps):
        axes.plot(steps, values, color=NEUTRAL, linewidth=1.2, label=of_training)
    if len(parts["validation"][0]):
        axes.plot(*parts["validation"], color=VALIDATION, marker="o", markersize=3.5, linewidth=1.2, label="validation")
    if len(parts["test"][0]):
        axes.plot(*parts["test"], color=TEST, marker="D", markersize=5, linestyle="none", label="test")
    axes.set_xlabel("step")
    axes.set_ylabel(_quantity_label(quantity, lines))
    axes.legend(frameon=False, fontsize=_SMALL)
    return axes


def plot_spectra_over_steps(
    decompositions: "Sequence[Decomposition | Path]",
    direction: int = 0,
    *,
    steps: Sequence[float] | None = None,
    count: int | None = None,
    ax: "Axes | None" = None,
    figsize: Figsize = None,
) -> "Axes":
    """Draw how a direction's eigenvalues move over training.

    A line joins the r-th largest positive eigenvalues, or the r-th most negative ones, of all steps.

    Args:
        decompositions: decompositions of single layers, or their folders, one for each checkpoint.
        direction: one of the n, the same in all.
        steps: their steps; without it, those in the names of the models' folders (checkpoints/step-N).
        count: eigenvalues of each, by falling |λ|; without it all.
        ax: Axes to draw into.
        figsize: width and height of the figure in inches.

    Raises:
        bilens.UsageError: for fewer than two decompositions, or steps that are not known or not as many.

    Example:
        >>> ds = [bilens.decompose(s * torch.eye(4), torch.eye(4), torch.eye(4), k=2) for s in (1.0, 2.0)]
        >>> bilens.plots.plot_spectra_over_steps(ds, steps=[0, 100]).lines[0].get_ydata().tolist()
        [1.0, 2.0]
    """
    from bilens._decomposition import Decomposition, load

    if isinstance(decompositions, (str, os.PathLike, Decomposition)) or len(list(decompositions)) < 2:
        raise UsageError(*problem("decompositions", "a list of two or more", type(decompositions).__name__))
    opened = [item if isinstance(item, Decomposition) else load(item) for item in decompositions]
    layers = [_layer_of(item) for item in opened]
    for layer in layers:
        _chosen(layer, direction)
    at = _steps(opened, steps)
    order = np.argsort(at, kind="stable")
    most = _count(count, min(layer.eigenvalues.shape[1] for layer in layers), "eigenvalues", None)
    values = np.stack([_array(layer.eigenvalues[direction, :most]) for layer in layers])[order]
    (axes,) = _axes(1, ax, figsize, (4.5, 2.8))
    for sign, colour in ((1, POSITIVE), (-1, NEGATIVE)):
        ranked = np.where(sign * values > 0, values, np.nan)
        ranked = sign * -np.sort(-sign * ranked, axis=1)  # NaN last
        for r in range(most):
            if np.isfinite(ranked[:, r]).any():
                axes.plot(at[order], ranked[:, r], color=colour, marker="o", markersize=2.5, linewidth=1)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel("step")
    axes.set_ylabel("eigenvalue λ" + _unit(layers[0]))
    _title(axes, _direction_label(layers[0], direction))
    return axes


def plot_conversion(run: Path, *, ax: "Iterable[Axes] | None" = None, figsize: Figsize = None) -> Panels:
    """Draw what a conversion to bilinear MLPs cost: the loss by step beside the teacher's, and R² layer by layer.

    Args:
        run: folder of a finished `bilens.finetune` with a validation part. `plot_training` draws the trained loss, and
            with "beta" how the activation was annealed.
        ax: two Axes to draw into.
        figsize: width and height of the figure in inches.

    Returns:
        Two Axes: cross-entropy on the validation part, from the model before the first step on, and R² of the residual
        stream behind each layer.

    Raises:
        bilens.InputError: for a folder without a finished conversion.

    Example:
        >>> bilens.plots.plot_conversion("runs/bilinear")  # doctest: +SKIP
    """
    account = _json(pathlib.Path(run) / "finetune.json", "a finished conversion (finetune.json)")
    before, after = account.get("untrained"), account.get("validation")
    steps, losses = _curve(_metrics(run), "validation", "loss")
    if after is None:
        raise InputError(*problem(str(run), "a conversion that measured a validation part", "none"))
    if before is not None:
        steps, losses = np.r_[0, steps], np.r_[before["loss"], losses]
    left, right = _axes(2, ax, figsize, (6.5, 2.6), 2)
    left.plot(steps, losses, color=VALIDATION, marker="o", markersize=3, linewidth=1.2, label="model")
    teacher = (before or after)["teacher_loss"]
    left.axhline(teacher, color=NEUTRAL, linestyle="--", linewidth=1, label="teacher")
    left.set_xlabel("step")
    left.set_ylabel("validation loss (nats a token)")
    left.legend(frameon=False, fontsize=_SMALL)
    for figures, colour, marker, label in (
        (before, NEGATIVE, "s", "before training"),
        (after, POSITIVE, "o", "finished"),
    ):
        if figures is not None:
            r2 = _floats(figures["layer_r2"])
            right.plot(range(len(r2)), r2, color=colour, marker=marker, markersize=4, linewidth=1.2, label=label)
    _whole_numbers(right.xaxis)
    right.set_xlabel("layer")
    right.set_ylabel("R² of the residual stream")
    right.legend(frameon=False, fontsize=_SMALL)
    return np.array([left, right], dtype=object)


def plot_contexts(
    tokens: Sequence[Sequence[str]],
    values: "Sequence[Array | Sequence[float]]",
    *,
    label: str = "value at the token",
    ax: "Axes | None" = None,
    figsize: Figsize = None,
) -> "Axes":
    """Draw pieces of text, each token on the colour of its value.

    Args:
        tokens: for each context its tokens as text, such as `tokenizer.convert_ids_to_tokens(ids)`. The signs that
            tokenizers put for spaces (▁, Ġ) and ends of lines are shown as such.
        values: for each context one number a token, such as `layer.contributions(x)[..., 0]`, or `x @ v` of an
            eigenvector v.
        label: what the numbers are, for the scale.
        ax: Axes to draw into.
        figsize: width and height of the figure in inches; without it 6.5 wide, and as high as the lines need.

    Raises:
        bilens.UsageError: where there is no token, or not one finite number for each.

    Example:
        >>> ax = bilens.plots.plot_contexts([["Once", " upon", " a", " time"]], [[0.0, 0.5, -1.0, 2.0]])
        >>> [text.get_text() for text in ax.texts]
        ['Once', ' upon', ' a', ' time']
    """
    contexts = _contexts(tokens, values)
    _require_size(figsize)
    _pyplot()
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    limit = max(float(np.abs(numbers).max()) for _, numbers in contexts) or 1.0
    width = (figsize or (6.5,))[0] - 0.9  # beside the scale and the margins
    if isinstance(ax, Axes):
        width = 0.85 * ax.get_window_extent().width / ax.figure.dpi
    columns = max(8, int(width * 72 / (_SMALL * _CELL)))
    cells, lines = _cells(contexts, columns)
    (axes,) = _axes(1, ax, figsize, (6.5, max(1.2, 0.3 + lines * _SMALL * _LINE / 72)))
    axes.set_xlim(0, columns)
    axes.set_ylim(lines, 0)
    axes.axis("off")
    colours = ScalarMappable(Normalize(-limit, limit), _colours())
    shades = colours.to_rgba(np.array([value for _, value, _, _ in cells]))
    for (piece, _, column, line), shade in zip(cells, shades):
        axes.add_patch(Rectangle((column, line + 0.06), len(piece), 0.88, facecolor=tuple(shade), linewidth=0))
        text = axes.text(column, line + 0.52, piece, family="monospace", fontsize=_SMALL, va="center")
        text.set_color("#ffffff" if shade[:3] @ (0.299, 0.587, 0.114) < 0.45 else "#14181d")
        text.set_parse_math(False)
    _colorbar([axes], colours, label)
    return axes


# --- What is drawn into ----------------------------------------------------------------------------------------


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'bilens[plot]'") from error
    return matplotlib.pyplot


def _axes(count: int, ax: Any, figsize: Any, default: tuple[float, float], columns: int = 1) -> "list[Axes]":
    """The given Axes, or those of a new figure."""
    plt = _pyplot()
    from matplotlib.axes import Axes

    if ax is not None:
        given = [ax] if isinstance(ax, Axes) or not isinstance(ax, Iterable) else list(np.array(ax, object).flat)
        if len(given) != count or not all(isinstance(item, Axes) for item in given):
            expected = "Axes of matplotlib" if count == 1 else f"{count} Axes of matplotlib"
            kinds = ", ".join(sorted({type(item).__name__ for item in given}))
            raise UsageError(*problem("ax", expected, f"{len(given)} of {kinds}" if kinds else "none"))
        if figsize is not None:
            raise UsageError(*problem("figsize", "none beside ax", repr(figsize), "Size the figure of the Axes."))
        return given
    _require_size(figsize)
    rows = -(-count // columns)
    figure, made = plt.subplots(rows, columns, figsize=figsize or default, layout="constrained", squeeze=False)
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)
    panels: list[Axes] = list(made.flat)
    for extra in panels[count:]:
        extra.remove()
    for axes in panels[:count]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=_SMALL)
        for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
            text.set_fontsize(_NORMAL)
    return panels[:count]


def _require_size(figsize: Any) -> None:
    if figsize is None:
        return
    sides = np.asarray(figsize, dtype=object).ravel()
    if len(sides) != 2 or not all(isinstance(side, (int, float)) and 0 < side < np.inf for side in sides):
        raise UsageError(*problem("figsize", "width and height in inches", repr(figsize)))


def _colours() -> "Colormap":
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("bilens", ["#5e2a03", NEGATIVE, "#ffffff", POSITIVE, "#0b3260"], N=511)


def _contexts(tokens: Any, values: Any) -> list[tuple[list[str], Floats]]:
    """The tokens of each context, as they are shown, and their numbers."""
    contexts = []
    if len(tokens) != len(values):
        raise UsageError(*problem("values", f"{len(tokens)} contexts, as tokens", str(len(values))))
    for i, (own, numbers) in enumerate(zip(tokens, values)):
        floats = _array(as_tensor(numbers, "values")) if hasattr(numbers, "dtype") else np.array(numbers, float)
        if isinstance(own, str) or not all(isinstance(piece, str) for piece in own):
            raise UsageError(*problem(f"tokens[{i}]", "a list of texts", repr(own)[:80]))
        if floats.shape != (len(own),) or not np.isfinite(floats).all():
            expected, found = f"a finite number for each of {len(own)} tokens", f"shape {list(floats.shape)}"
            if floats.shape == (len(own),):
                found = "some that are not finite"
            raise UsageError(*problem(f"values[{i}]", expected, found))
        shown = [piece.replace("\n", "↵").replace("\t", "⇥").replace("\r", "␍") or "∅" for piece in own]
        contexts.append((shown, floats))
    if not any(own for own, _ in contexts):
        raise UsageError(*problem("tokens", "contexts with tokens", "none"))
    return [(own, numbers) for own, numbers in contexts if own]


def _cells(contexts: list[tuple[list[str], Floats]], columns: int) -> tuple[list[tuple[str, float, int, float]], float]:
    """Where each token stands: its text, its number, column and line, in lines of so many letters; and their height.
    A token that is longer than a line is cut."""
    cells, line = [], 0.0
    for pieces, numbers in contexts:
        column = 0
        for piece, number in zip(pieces, numbers):
            for part in (piece[i : i + columns] for i in range(0, len(piece), columns)):
                if column + len(part) > columns:
                    column, line = 0, line + 1
                cells.append((part, float(number), column, line))
                column += len(part)
        line += 1.5  # half a line between contexts
    return cells, line - 0.5


def _signed_image(axes: "Axes", image: Floats, largest: float) -> "AxesImage":
    """An image with zero in the middle of its colours; its pixels stay pixels in vector graphics."""
    limit = largest or 1.0
    return axes.imshow(image, cmap=_colours(), vmin=-limit, vmax=limit, interpolation="none")


def _colorbar(panels: "Sequence[Axes]", image: "ScalarMappable", label: str) -> None:
    figure = panels[0].figure
    bar = figure.colorbar(image, ax=list(panels), shrink=0.9, pad=0.02, aspect=15)
    bar.set_label(label, size=_SMALL)
    bar.ax.tick_params(labelsize=_SMALL)
    bar.outline.set_linewidth(0.5)


def _title(axes: "Axes", words: str) -> None:
    if words:
        axes.set_title(words, fontsize=_NORMAL).set_parse_math(False)


def _categories(axes: "Axes", names: list[str]) -> None:
    many = sum(len(name) + 2 for name in names) > 60
    axes.set_xticks(range(len(names)), names, rotation=90 if many else 0)
    for text in axes.get_xticklabels():
        text.set_parse_math(False)


def _whole_numbers(axis: "Axis") -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def _bars(axes: "Axes", values: Floats, bound: float) -> None:
    axes.bar(range(len(values)), values, color=np.where(values < 0, NEGATIVE, POSITIVE).tolist(), zorder=2)
    _whole_numbers(axes.xaxis)
    if np.isfinite(bound):
        axes.axhspan(-bound, bound, color=NEUTRAL, alpha=0.2, linewidth=0, label="all others (proved)")


def _levels(axes: "Axes", values: Floats, bounds: Floats) -> None:
    places = np.arange(len(values))
    for sign, colour in ((1, POSITIVE), (-1, NEGATIVE)):
        at, _ = np.nonzero((values < 0) if sign < 0 else (values >= 0))
        levels = values[values < 0] if sign < 0 else values[values >= 0]
        axes.hlines(levels, at - 0.36, at + 0.36, color=colour, linewidth=1.2, zorder=2)
    proved = np.isfinite(bounds)
    if proved.any():
        axes.bar(
            places[proved],
            2 * bounds[proved],
            bottom=-bounds[proved],
            width=0.84,
            color=NEUTRAL,
            alpha=0.2,
            linewidth=0,
            label="all others (proved)",
        )


def _axis_of_pairs(axes: "Axes", most: int) -> None:
    axes.set_xlabel("eigenpairs k")
    if most > 32:
        axes.set_xscale("symlog", base=2, linthresh=1)
        ticks = [0] + [2**i for i in range(most.bit_length())]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
    else:
        _whole_numbers(axes.xaxis)


# --- What is drawn ---------------------------------------------------------------------------------------------


def _array(tensor: Any) -> Floats:
    array: Floats = tensor.detach().double().numpy()
    return array


def _number(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−") if value else "0"


def _layer_of(of: Any) -> "Layer":
    from bilens._decomposition import Decomposition, Layer

    if isinstance(of, Decomposition):
        return of._only
    if not isinstance(of, Layer):
        raise UsageError(*problem("of", "a bilens.Decomposition or one of its layers", type(of).__name__))
    return of


def _chosen(layer: "Layer", directions: Any) -> list[int]:
    if directions is None:
        return list(range(min(layer.count, _MOST_DIRECTIONS)))
    several = isinstance(directions, Iterable) and not isinstance(directions, str)
    chosen = list(directions) if several else [directions]
    if not chosen:
        raise UsageError(*problem("directions", "one or more", "none"))
    return [_direction(u, layer.count) for u in chosen]


def _direction(u: Any, count: int) -> int:
    if not isinstance(u, (int, np.integer)) or isinstance(u, bool) or not 0 <= u < count:
        raise UsageError(*problem("direction", f"a number from 0 to {count - 1}", repr(u)))
    return int(u)


def _count(count: Any, most: int, what: str, default: int | None) -> int:
    if count is None:
        return most if default is None else min(default, most)
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or not 1 <= count <= most:
        raise UsageError(*problem("count", f"a number from 1 to {most}, the {what} that there are", repr(count)))
    return int(count)


def _shape(of: Any, shape: Any, layer: "Layer") -> tuple[int, int]:
    pixels, given = layer.info["d_in"], shape
    if given is None and layer.info["input_space"] == "input":
        given = of.info.get("image_shape")
    if given is None:
        raise UsageError(*problem("shape", f"height and width of images of {pixels} pixels", "none"))
    sides = list(given) if isinstance(given, Iterable) else [given]
    whole = all(isinstance(side, (int, np.integer)) and side > 0 for side in sides)
    if len(sides) != 2 or not whole or sides[0] * sides[1] != pixels:
        raise UsageError(*problem("shape", f"height and width of images of {pixels} pixels", repr(given)))
    return int(sides[0]), int(sides[1])


def _direction_label(layer: "Layer", direction: int) -> str:
    names = layer.direction_names
    return f"direction {direction}" + (f": {names[direction]}" if names else "")


def _unit(layer: "Layer") -> str:
    return " (logits)" if layer.info["output_is"] == "logits" else ""


def _numbers_of_pairs(most: int) -> list[int]:
    """0 ... most, thinned out where they are many."""
    if most <= 32:
        return list(range(most + 1))
    return [0] + sorted({round(float(k)) for k in np.geomspace(1, most, 28)})


def _forms_by_pairs(layer: "Layer", x: Array, chosen: list[int]) -> Floats:
    """[k + 1, inputs, directions]: what `layer.truncate` gives with the first 0 ... k eigenpairs."""
    none = _array(layer.truncate(0)(x)).reshape(-1, layer.count)[:, chosen]
    require_memory(24 * none.size * (layer.eigenvalues.shape[1] + 1), "the forms on these inputs, by k")
    parts = np.stack([_array(layer.contributions(x, u)).reshape(len(none), -1) for u in chosen], axis=1)
    forms: Floats = np.concatenate([none[..., None], parts], axis=2).cumsum(axis=2)
    return np.moveaxis(forms, 2, 0)


def _outputs(y: Array, shape: tuple[int, int]) -> Floats:
    given = as_tensor(y, "y")
    if given.dim() == 0 or given.shape[-1] != shape[1] or given.numel() != shape[0] * shape[1]:
        expected = f"what x gives along the directions, {shape[0]} rows of {shape[1]}"
        raise UsageError(*problem("y", expected, str(list(given.shape))))
    return _array(given).reshape(shape)


def _scales(target: Floats, measure: str) -> Floats:
    """What squared errors are divided by; NaN where the target is constant."""
    centred = target - target.mean(0) if measure == "r2" else target
    scale: Floats = np.square(centred).sum(0)
    rounding = len(target) * np.square(1e-13 * np.abs(target).max(0, initial=0))
    scale = np.where(scale > rounding, scale, np.nan)
    if np.isnan(scale).all():
        what = "outputs that vary over x" if measure == "r2" else "outputs other than zero"
        raise UsageError(*problem("x", what, f"{len(target)} inputs with constant ones"))
    return scale


def _matrix_of_pairs(layer: "Layer", direction: int) -> Floats:
    require_memory(24 * layer.info["d_in"] ** 2, "Q")
    vectors, values = _array(layer.eigenvectors[direction]), _array(layer.eigenvalues[direction])
    matrix: Floats = (vectors.T * values) @ vectors
    return matrix


def _words(layer: "Layer", direction: int) -> str:
    found = layer.eigenvalues.shape[1]
    part = "" if found == layer.info["d_in"] else f", {found} eigenpairs"
    return _direction_label(layer, direction) + (", without the trace" if "shift" in layer.tensors else "") + part


def _steps(decompositions: "list[Decomposition]", steps: Any) -> Floats:
    if steps is None:
        found = [re.search(r"step-(\d+)(?!.*step-\d)", str(item.info["model"])) for item in decompositions]
        unknown = [str(item.info["model"]) for item, match in zip(decompositions, found) if match is None]
        if unknown:
            raise UsageError(
                *problem("steps", "a number for each", f"no step-N in {unknown[0]!r}", "Give steps=[...].")
            )
        steps = [int(match[1]) for match in found if match is not None]
    try:
        at = _floats(steps)
    except (TypeError, ValueError):
        at = _floats([])
    if len(at) != len(decompositions) or not np.isfinite(at).all():
        raise UsageError(*problem("steps", f"{len(decompositions)} numbers", repr(steps)))
    return at


# --- Files -----------------------------------------------------------------------------------------------------


def _floats(numbers: Any) -> Floats:
    """With NaN for null."""
    return np.array([np.nan if number is None else number for number in numbers], dtype=np.float64)


def _read(path: pathlib.Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        found = error.strerror or str(error)
        raise InputError(*problem(str(path.parent), what, found)) from error


def _json(path: pathlib.Path, what: str) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(_read(path, what))
    except ValueError as error:
        raise InputError(*problem(str(path), "JSON", str(error))) from error
    return read


def _metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, but for one that is still being written."""
    path = pathlib.Path(run) / "metrics.jsonl"
    rows = _read(path, "a run (metrics.jsonl)").decode(errors="replace").split("\n")[:-1]
    try:
        lines: list[dict[str, Any]] = [json.loads(row) for row in rows if row]
    except ValueError as error:
        raise InputError(*problem(str(path), "a JSON object a line", str(error))) from error
    if not lines:
        raise InputError(*problem(str(path), "one step or more", "none"))
    return lines


def _is_conversion(run: Path) -> bool:
    """Whether what is trained is not the cross-entropy that is validated."""
    config = pathlib.Path(run) / "config.json"
    return config.is_file() and "teacher" in _json(config, "the settings of a run (config.json)")


def _curve(lines: list[dict[str, Any]], split: str | None, quantity: str) -> tuple[Floats, Floats]:
    """Steps and values of a part of the data; None: of training."""
    at = {line["step"]: line[quantity] for line in lines if line.get("split") == split and quantity in line}
    if any(isinstance(value, (str, list, dict)) for value in at.values()):
        return _floats([]), _floats([])
    return _floats(at.keys()), _floats(at.values())


def _quantity_label(quantity: str, lines: list[dict[str, Any]]) -> str:
    of_images = any("accuracy" in line or "examples" in line for line in lines)
    return {
        "loss": f"loss (nats {'an image' if of_images else 'a token'})",
        "lr": "learning rate",
        "grad_norm": "norm of the gradient",
        "epoch": "passes over the data",
        "beta": "β of the activation",
        "mfu": "share of the machine's matrix products",
        "peak_memory": "peak memory (bytes)",
        "images_per_second": "images a second",
        "tokens_per_second": "tokens a second",
    }.get(quantity, quantity)


def _safetensors(path: pathlib.Path, names: Sequence[str], what: str) -> list[npt.NDArray[Any]]:
    """Tensors of a file that bilens wrote."""
    content = _read(path, what)
    kinds: dict[str, npt.DTypeLike] = {"F64": "<f8", "I32": "<i4"}
    try:
        (length,) = struct.unpack_from("<Q", content)
        header = json.loads(content[8 : 8 + length])
        found = []
        for name in names:
            if name not in header:
                raise InputError(*problem(str(path), name, "none of that name"))
            begin, end = (8 + length + offset for offset in header[name]["data_offsets"])
            shape, kind = header[name]["shape"], kinds[header[name]["dtype"]]
            found.append(np.frombuffer(content[begin:end], kind).reshape(shape))
    except (struct.error, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(*problem(str(path), "a safetensors file", str(error))) from error
    return found


def _plot_token_pairs(
    folder: pathlib.Path, direction: int, layer: int | None, count: int, ax: Any, figsize: Figsize
) -> "Axes":
    info = _json(folder / "decomposition.json", "a decomposition")
    entries = {entry["layer"]: entry for entry in info["layers"]}
    if layer is None and len(entries) == 1:
        layer = next(iter(entries))
    if layer not in entries:
        raise UsageError(*problem("layer", f"one of {', '.join(map(str, entries))}", repr(layer)))
    what = "a study of tokens (study.json)"
    study = _json(folder / "study.json", what)
    study = study.get("tokens", study) if study.get("format") == "bilens-study" else study  # of earlier versions
    if not isinstance(study, dict) or "vocabulary" not in study:
        raise InputError(*problem(str(folder), what, "a study of images", "Plot bilens.load(folder) for Q."))
    names = [f"layer_{layer}.interactions.{part}" for part in ("tokens", "values", "bounds")]
    pairs, values, bounds = _safetensors(folder / "study.safetensors", names, what)
    direction = _direction(direction, len(pairs))
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UsageError(*problem("count", "a number of pairs from 1 on", repr(count)))
    words = study["vocabulary"]
    if pairs.size and not 0 <= pairs.min() <= pairs.max() < len(words):
        raise InputError(*problem(names[0], f"rows of a vocabulary of {len(words)}", f"{pairs.min()} to {pairs.max()}"))
    labels = [words[i] if i == j else f"{words[i]} × {words[j]}" for i, j in pairs[direction, :count]]
    size, error = values[direction, :count], bounds[direction, :count]
    (axes,) = _axes(1, ax, figsize, (4.5, 0.8 + 0.17 * len(labels)))
    places = np.arange(len(labels))
    axes.barh(places, size, color=np.where(size < 0, NEGATIVE, POSITIVE).tolist(), height=0.75)
    proved = np.isfinite(error)
    axes.errorbar(
        size[proved], places[proved], xerr=error[proved], fmt="none", ecolor="black", elinewidth=0.8, capsize=2
    )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(places, labels)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.invert_yaxis()
    axes.set_xlabel("interaction along u (whiskers: with all of Q)")
    directions = entries[layer].get("direction_names") or []
    _title(axes, f"layer {layer}, " + (directions[direction] if directions else f"direction {direction}"))
    return axes
