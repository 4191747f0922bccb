"""What bilens shows in a notebook: one piece of HTML that loads nothing and runs no script."""

import html
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

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
#ID .card{display:block!important}
#ID .untrusted{display:none}
#ID .of{font-weight:600;overflow-wrap:anywhere}
#ID small,#ID .facts,#ID .note{font-size:12px;opacity:.8}
#ID .note{margin:0;padding:0;background:none}
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
#ID table{border-collapse:collapse;margin-top:8px;font-size:12px;color:inherit}
#ID tr,#ID tr:nth-child(even),#ID tr:hover{background:none}
#ID th,#ID td{padding:2px 8px;text-align:right;vertical-align:top;border:0;border-bottom:1px solid var(--line);
color:inherit;white-space:nowrap;font-variant-numeric:tabular-nums}
#ID th{font-weight:600;white-space:normal}
#ID .words{text-align:left;white-space:normal}
#ID .worth{white-space:nowrap}
#ID td svg{display:inline-block;width:64px;height:10px;margin:0;vertical-align:middle}
#ID .token{display:inline-block;padding:0 3px;margin:0 2px 2px 0;border:1px solid var(--line);border-radius:3px}
"""


def new_name() -> str:
    """An id that no other piece of the page has."""
    return "bilens-" + secrets.token_hex(4)


def piece(name: str, heading: str, body: str) -> str:
    """The whole. `heading` and `body` are HTML. An untrusted notebook drops the style, and the body with it."""
    untrusted = "Run the cell, or trust the notebook, to see more."
    return (
        f'<div id="{name}"><style>{_STYLE.replace("ID", name)}</style><div class="of">{heading}</div>'
        f'<div class="untrusted">{untrusted}</div><div class="card" style="display:none">{body}</div></div>'
    )


def short(words: Any, most: int) -> str:
    """As HTML, with its middle left out where it is long."""
    plain = str(words)
    if len(plain) > most:
        plain = plain[: most // 3] + "…" + plain[len(plain) - (most - most // 3 - 1) :]
    return html.escape(plain)


def facts(of: Iterable[tuple[str, str]]) -> str:
    """Labels with their values, which are HTML."""
    return '<div class="facts">' + "".join(f"<span>{label} <b>{value}</b></span>" for label, value in of) + "</div>"


def tabs(name: str, labels: Sequence[str], panels: Sequence[str], count: int, what: str) -> str:
    """Radio buttons whose labels are tabs: each panel follows its own, and styles show the checked one's."""
    parts = []
    for i, (label, panel) in enumerate(zip(labels, panels)):
        parts.append(
            f'<input type="radio" name="{name}" id="{name}-t{i}"{" checked" if i == 0 else ""}>'
            f'<label for="{name}-t{i}">{short(label, 24)}</label><section>{panel}</section>'
        )
    if count > len(panels):
        parts.append(f'<span class="note">and {count - len(panels)} more {what}</span>')
    return f'<div class="tabs" role="group" aria-label="{what}">{"".join(parts)}</div>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = ()) -> str:
    """Cells are HTML. `words` numbers the columns that hold text."""

    def row(tag: str, cells: Sequence[str]) -> str:
        return (
            "<tr>"
            + "".join(f"<{tag}{' class=words' if i in words else ''}>{cell}</{tag}>" for i, cell in enumerate(cells))
            + "</tr>"
        )

    return "<table>" + row("th", heads) + "".join(row("td", cells) for cells in rows) + "</table>"


def bar(value: float, largest: float) -> str:
    """A bar from the middle, to the right where the value is above 0."""
    width = 44 * value / largest if largest > 0 else 0.0
    colour = "positive" if value > 0 else "negative"
    return (
        '<svg viewBox="0 0 90 10" aria-hidden="true"><path d="M45 0v10" stroke="currentColor" opacity=".4"/>'
        f'<path d="M45 5h{width:.3g}" stroke="var(--{colour})" stroke-width="8"/></svg>'
    )


def number(value: float) -> str:
    """Three digits with a sign."""
    return f"{value:+.3g}".replace("-", "−") if value else "0"
