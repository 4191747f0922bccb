"""How a decomposition shows itself in a notebook."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from bilens._html import facts, new_name, number, piece, short, tabs

_MOST_LAYERS = 24
_MOST_DIRECTIONS = 48  # of all layers together
_MOST_DIRECTIONS_OF_A_LAYER = 24
_MOST_BARS = 32
_WIDTH, _HEIGHT = 580, 130  # of the chart, in its own units


def card(info: Mapping[str, Any], tensors: Mapping[int, Mapping[str, torch.Tensor]]) -> str:
    """HTML of a decomposition, at most 100 kB.

    Args:
        info: decomposition.json.
        tensors: those of each layer, by its number.
    """
    name = new_name()
    entries = info["layers"]
    shown = entries[:_MOST_LAYERS]
    most = min(_MOST_DIRECTIONS // max(len(shown), 1), _MOST_DIRECTIONS_OF_A_LAYER)
    panels = [_layer(entry, tensors[entry["layer"]], f"{name}-{entry['layer']}", most) for entry in shown]
    labels = [f"layer {entry['layer']}" for entry in shown]
    body = panels[0] if len(entries) == 1 else tabs(name, labels, panels, len(entries), "layers")
    heading = f"Decomposition of {short(info['model'], 120)}"
    return piece(name, heading, facts(_of_all(info)) + body)


def _of_all(info: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if info.get("minus"):
        yield "minus", short(info["minus"], 120)
    if info.get("surrogate"):
        yield "surrogate", short(info["surrogate"]["kind"], 40)
    yield "layers", str(len(info["layers"]))
    yield "seconds", f"{info['seconds']:.3g}"


def _of_layer(entry: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    yield "method", short(entry["method"], 40)
    yield "inputs", str(entry["d_in"])
    yield "outputs", str(entry["d_out"])
    yield "directions n", str(entry["n_directions"])
    if "k" not in entry:
        return
    yield "eigenpairs k", str(entry["k"])
    yield "converged", f"{entry['converged']} of {entry['n_directions']}"
    yield "certified", f"{entry['certified']} of {entry['n_directions']}"
    if entry["worst_residual"] is not None:
        yield "worst residual", f"{entry['worst_residual']:.1e}"


def _layer(entry: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], name: str, most: int) -> str:
    about = facts(_of_layer(entry))
    if "eigenvalues" not in tensors:
        return about + f'<div class="note">{short(entry.get("words") or "", 400)}</div>'
    values = tensors["eigenvalues"][:most, :_MOST_BARS].tolist()
    bounds = tensors["certified_bound"][:most].tolist() if "certified_bound" in tensors else [math.nan] * len(values)
    labels = list(entry.get("direction_names") or map(str, range(entry["n_directions"])))[: len(values)]
    panels = [_chart(*each, entry["k"]) for each in zip(labels, values, bounds)]
    return about + tabs(name, labels, panels, entry["n_directions"], "directions")


def _chart(label: str, values: Sequence[float], bound: float, count: int) -> str:
    """Bars of eigenvalues around zero in the middle, in one path of each sign, and dashes at the proved bound."""
    sizes = [abs(value) for value in values if math.isfinite(value)]
    largest = max([*sizes, bound if math.isfinite(bound) else 0.0], default=0.0) or 1.0
    middle, left = _HEIGHT / 2, 64
    step = min((_WIDTH - left) / max(len(values), 1), 34)

    def height(value: float) -> float:
        return value / largest * (middle - 8)

    def bars(wanted: Callable[[float], bool]) -> str:
        return "".join(
            f"M{left + (i + 0.5) * step:.4g} {middle:g}v{-height(value):.4g}"
            for i, value in enumerate(values)
            if math.isfinite(value) and wanted(value)
        )

    words = ", ".join(number(value) for value in values[:3]) + (", …" if count > 3 else "")
    width = f'stroke-width="{step * 0.8:.3g}"'
    parts = [
        f'<path d="{bars(lambda value: value > 0)}" stroke="var(--positive)" {width}/>',
        f'<path d="{bars(lambda value: value < 0)}" stroke="var(--negative)" {width}/>',
        f'<path d="M{left} {middle:g}H{_WIDTH}" stroke="currentColor"/>',
    ]
    for place, value in ((12, largest), (middle + 4, 0.0), (_HEIGHT - 4, -largest)):
        parts.append(f'<text x="{left - 6}" y="{place:g}" text-anchor="end">{number(value)}</text>')
    if math.isfinite(bound):
        parts.append(
            f'<path d="M{left} {middle - height(bound):.4g}H{_WIDTH}M{left} {middle + height(bound):.4g}H{_WIDTH}" '
            'stroke="currentColor" stroke-dasharray="4 3" opacity=".7"/>'
        )
    notes = [f"λ {words}"]
    if count > len(values):
        notes.append(f"the first {len(values)} of {count} are drawn")
    if math.isfinite(bound):
        notes.append(f"proved: all others within ±{number(bound)[1:]} (dashed)")
    title = f"Eigenvalues of direction {short(label, 24)}: {words}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
        f'<div class="note">{"; ".join(notes)}</div>'
    )
