"""How a decomposition shows itself in a notebook: one piece of HTML that loads nothing and runs no script."""

import html
import math
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

_MOST_LAYERS = 24
_MOST_DIRECTIONS = 48  # of all layers together
_MOST_DIRECTIONS_OF_A_LAYER = 24
_MOST_BARS = 32
_WIDTH, _HEIGHT = 580, 130  # of the chart, in its own units

# The page's own colours where it is known: JupyterLab's, VS Code's; else the system's light or dark ones. The bars have
# enough contrast on both.
_STYLE = """
#ID{color-scheme:light dark;--ink:var(--jp-content-font-color1,var(--vscode-foreground,CanvasText));
--page:var(--jp-layout-color1,var(--vscode-editor-background,Canvas));
--line:var(--jp-border-color1,color-mix(in srgb,currentColor 28%,transparent));
--accent:var(--jp-brand-color1,var(--vscode-focusBorder,#3f87d9));
--positive:#3f87d9;--negative:#cc6a1c;box-sizing:border-box;max-width:620px;padding:12px 16px;border-radius:6px;
border:1px solid var(--line);background:var(--page);color:var(--ink);font:13px/1.5 system-ui,sans-serif}
@media (prefers-color-scheme:dark){#ID{--positive:#62a5f5;--negative:#e8873a}}
body[data-jp-theme-light="true"] #ID,body.vscode-light #ID{color-scheme:light;--positive:#3f87d9;--negative:#cc6a1c}
body[data-jp-theme-light="false"] #ID,body.vscode-dark #ID{color-scheme:dark;--positive:#62a5f5;--negative:#e8873a}
#ID .of{font-weight:600;overflow-wrap:anywhere}
#ID small,#ID .facts,#ID .note{font-size:12px;opacity:.8}
#ID .facts span{display:inline-block;margin-right:14px}
#ID b{font-weight:600}
#ID .tabs{position:relative;display:flex;flex-wrap:wrap;gap:4px;margin-top:8px}
#ID .tabs>input{position:absolute;opacity:0;pointer-events:none}
#ID .tabs>label{cursor:pointer;padding:0 8px;border:1px solid var(--line);border-radius:4px;margin:0;
max-width:150px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
#ID .tabs>input:checked+label{border-color:var(--accent);box-shadow:inset 0 -2px var(--accent);font-weight:600}
#ID .tabs>input:focus-visible+label{outline:2px solid var(--accent);outline-offset:1px}
#ID .tabs>section{display:none;order:1;width:100%}
#ID .tabs>input:checked+label+section{display:block}
#ID .tabs>.note{align-self:center}
#ID svg{display:block;width:100%;height:auto;margin-top:6px}
#ID svg text{fill:currentColor;font-size:11px}
"""


def card(info: Mapping[str, Any], tensors: Mapping[int, Mapping[str, torch.Tensor]]) -> str:
    """HTML of a decomposition, at most 100 kB.

    Args:
        info: decomposition.json.
        tensors: those of each layer, by its number.
    """
    name = "bilens-" + secrets.token_hex(4)
    entries = info["layers"]
    shown = entries[:_MOST_LAYERS]
    most = min(_MOST_DIRECTIONS // max(len(shown), 1), _MOST_DIRECTIONS_OF_A_LAYER)
    panels = [_layer(entry, tensors[entry["layer"]], f"{name}-{entry['layer']}", most) for entry in shown]
    labels = [f"layer {entry['layer']}" for entry in shown]
    body = panels[0] if len(entries) == 1 else _tabs(name, labels, panels, len(entries), "layers")
    return (
        f'<div id="{name}"><style>{_STYLE.replace("ID", name)}</style>'
        f'<div class="of">Decomposition of {_text(info["model"], 120)}</div>{_facts(_of_all(info))}{body}</div>'
    )


def _text(words: Any, most: int) -> str:
    """As HTML, with its middle left out where it is long."""
    plain = str(words)
    if len(plain) > most:
        plain = plain[: most // 3] + "…" + plain[len(plain) - (most - most // 3 - 1) :]
    return html.escape(plain)


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return '<div class="facts">' + "".join(f"<span>{label} <b>{value}</b></span>" for label, value in facts) + "</div>"


def _of_all(info: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if info.get("minus"):
        yield "minus", _text(info["minus"], 120)
    if info.get("surrogate"):
        yield "surrogate", _text(info["surrogate"]["kind"], 40)
    yield "layers", str(len(info["layers"]))
    yield "seconds", f"{info['seconds']:.3g}"


def _of_layer(entry: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    yield "method", _text(entry["method"], 40)
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
    facts = _facts(_of_layer(entry))
    if "eigenvalues" not in tensors:
        return facts + f'<div class="note">{_text(entry.get("words") or "", 400)}</div>'
    values = tensors["eigenvalues"][:most, :_MOST_BARS].tolist()
    bounds = tensors["certified_bound"][:most].tolist() if "certified_bound" in tensors else [math.nan] * len(values)
    labels = list(entry.get("direction_names") or map(str, range(entry["n_directions"])))[: len(values)]
    panels = [_chart(*each, entry["k"]) for each in zip(labels, values, bounds)]
    return facts + _tabs(name, labels, panels, entry["n_directions"], "directions")


def _tabs(name: str, labels: Sequence[str], panels: Sequence[str], count: int, what: str) -> str:
    """Radio buttons whose labels are tabs: each panel follows its own, and styles show the checked one's."""
    parts = []
    for i, (label, panel) in enumerate(zip(labels, panels)):
        parts.append(
            f'<input type="radio" name="{name}" id="{name}-t{i}"{" checked" if i == 0 else ""}>'
            f'<label for="{name}-t{i}">{_text(label, 24)}</label><section>{panel}</section>'
        )
    if count > len(panels):
        parts.append(f'<span class="note">and {count - len(panels)} more {what}</span>')
    return f'<div class="tabs" role="group" aria-label="{what}">{"".join(parts)}</div>'


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

    words = ", ".join(_number(value) for value in values[:3]) + (", …" if count > 3 else "")
    width = f'stroke-width="{step * 0.8:.3g}"'
    parts = [
        f'<path d="{bars(lambda value: value > 0)}" stroke="var(--positive)" {width}/>',
        f'<path d="{bars(lambda value: value < 0)}" stroke="var(--negative)" {width}/>',
        f'<path d="M{left} {middle:g}H{_WIDTH}" stroke="currentColor"/>',
    ]
    for place, value in ((12, largest), (middle + 4, 0.0), (_HEIGHT - 4, -largest)):
        parts.append(f'<text x="{left - 6}" y="{place:g}" text-anchor="end">{_number(value)}</text>')
    if math.isfinite(bound):
        parts.append(
            f'<path d="M{left} {middle - height(bound):.4g}H{_WIDTH}M{left} {middle + height(bound):.4g}H{_WIDTH}" '
            'stroke="currentColor" stroke-dasharray="4 3" opacity=".7"/>'
        )
    facts = [f"λ {words}"]
    if count > len(values):
        facts.append(f"the first {len(values)} of {count} are drawn")
    if math.isfinite(bound):
        facts.append(f"proved: all others within ±{_number(bound)[1:]} (dashed)")
    title = f"Eigenvalues of direction {_text(label, 24)}: {words}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
        f'<div class="note">{"; ".join(facts)}</div>'
    )


def _number(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−") if value else "0"
