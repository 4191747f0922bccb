"""A difference of logits behind a prompt as an exact sum over embedding, attentions and eigenvectors."""

import json
import operator
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from bilens import _bilens
from bilens._errors import UsageError, problem
from bilens._faithful import require_same_logits, require_weights_alone
from bilens._html import bar, facts, new_name, number, piece, short, table
from bilens._models import Array, Model, in_words_of, index, stored, unwrapped
from bilens._table import frame, rows_of
from bilens._tokens import pieces_of, token_id

_MOST_LAYERS = 100  # in a notebook
_MOST_TOKENS = 48
_MOST_TERMS = 12
_MOST_THREADS = 4096  # as on the command line


class Explanation:
    """A difference of logits as a sum: `embedding`, and of each layer what attention, eigenvectors, biases and the
    remainder of a gated MLP add.

    Attributes:
        info: explanation.json as a dictionary (docs/formats.md).
        logit: the difference as the model computes it, in float32.
        sum: the same as the sum of all parts, in float64.
        embedding: what the embedding of the prompt's last token adds.
        layers: one row a layer, a numpy array with the columns layer, attention, eigenvectors, linear and remainder.
        terms: one row an eigenvector of any layer, by falling |contribution|, a numpy array with the columns layer,
            index, eigenvalue (λ), projection (p = v·x) and contribution (λp²). Those of a layer add up to its
            `eigenvectors`.
        vectors: [t, d_model] float64, the eigenvectors v of the first t terms, at most 20.
        nearest: for each of these t vectors, the tokens nearest to v and those nearest to −v.
        tokens: the prompt's tokens, by name.
        token, minus: names of the token that is explained and of the one that is subtracted, None for the mean of all.
        page: the page that was written, with `out`; else None.
    """

    def __init__(
        self, info: dict[str, Any], columns: Mapping[str, torch.Tensor], vectors: torch.Tensor, page: str | None
    ) -> None:
        self.info = info
        self.logit: float = info["logit"]
        self.sum: float = info["sum"]
        self.embedding: float = info["embedding"]
        self.layers = rows_of({key: np.array([layer[key] for layer in info["layers"]]) for key in info["layers"][0]})
        self.terms = rows_of({name: column.numpy() for name, column in columns.items()})
        self.vectors = vectors
        self.nearest: list[tuple[list[str], list[str]]] = [(*term["nearest"],) for term in info["terms"]]
        self.tokens: list[str] = info["tokens"]
        self.token: str = info["token"]
        self.minus: str | None = info["minus"]
        self.page = None if page is None else pathlib.Path(page)

    def table(self) -> Any:
        """The terms as a DataFrame of pandas.

        Raises:
            ImportError: without pandas.

        Example:
            >>> explanation.table().head()  # doctest: +SKIP
        """
        return frame(self.terms)

    def __repr__(self) -> str:
        lines = [f"<bilens.Explanation of {self.info['model']}"]
        if self.info["surrogate"]:
            lines.append(f"  surrogate: {self.info['surrogate']['meaning']}")
        lines.append(f"  {self._question()}: {self.logit:.4f}, sum {self.sum:.4f}")
        lines.append(f"  embedding {self.embedding:+.4f}")
        lines.append("  layer  attention  eigenvectors     linear  remainder")
        for row in self.layers:
            lines.append(
                f"  {row['layer']:5} {row['attention']:+10.4f} {row['eigenvectors']:+13.4f} "
                f"{row['linear']:+10.4f} {row['remainder']:+10.4f}"
            )
        lines.append("  largest terms: layer/index, contribution, p, nearest tokens on both sides")
        for row, (near, opposite) in list(zip(self.terms, self.nearest))[:5]:
            place = f"{row['layer']}/{row['index']}"
            lines.append(
                f"  {place:>8} {row['contribution']:+9.4f} {row['projection']:+8.3f}  "
                f"{' '.join(near)} | {' '.join(opposite)}"
            )
        return "\n".join(lines) + ">"

    def _question(self) -> str:
        return f"logit of {self.token} minus {'the mean' if self.minus is None else self.minus}"

    def _repr_html_(self) -> str:
        """What a notebook shows: the sum by layers, and its largest terms."""
        minus = "the mean of all" if self.minus is None else _token(self.minus)
        tokens = "".join(map(_token, self.tokens[-_MOST_TOKENS:]))
        before = len(self.tokens) - _MOST_TOKENS
        note = f"and {before} tokens before: " if before > 0 else ""
        body = facts(self._facts()) + f'<div class="note">{note}{tokens}</div>' + self._layer_table()
        return piece(new_name(), f"Logit of {_token(self.token)} minus {minus}", body + self._term_table())

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "model", short(self.info["model"], 60)
        if self.info["surrogate"]:
            yield "surrogate", short(self.info["surrogate"]["kind"], 40)
        yield "logit", f"{self.logit:.4f}"
        yield "sum", f"{self.sum:.4f}"
        yield "embedding", number(self.embedding)

    def _layer_table(self) -> str:
        parts = ("attention", "eigenvectors", "linear", "remainder")
        used = [part for part in parts if part in parts[:2] or self.layers[part].any()]
        totals = sum((self.layers[part] for part in parts), np.zeros(len(self.layers)))
        largest = float(np.abs(totals).max())
        rows = [
            [str(row["layer"]), *(number(row[part]) for part in used), number(total), bar(float(total), largest)]
            for row, total in list(zip(self.layers, totals))[:_MOST_LAYERS]
        ]
        shown = table(["layer", *used, "all", ""], rows)
        more = len(self.layers) - len(rows)
        return shown + (f'<div class="note">and {more} more layers</div>' if more > 0 else "")

    def _term_table(self) -> str:
        largest = float(np.abs(self.terms["contribution"]).max())
        rows = [
            [
                f"{row['layer']}/{row['index']}",
                number(row["eigenvalue"]),
                number(row["projection"]),
                number(row["contribution"]),
                bar(float(row["contribution"]), largest),
                *("".join(map(_token, side)) for side in sides),
            ]
            for row, sides in list(zip(self.terms, self.nearest))[:_MOST_TERMS]
        ]
        heads = ["layer/index", "λ", "v·x", "λ(v·x)²", "", "tokens nearest to v", "to −v"]
        more = len(self.terms) - len(rows)
        rest = number(float(self.terms["contribution"][len(rows) :].sum()))
        return table(heads, rows, (5, 6)) + f'<div class="note">and {more} more eigenvectors, together {rest}</div>'


def _token(name: str) -> str:
    return f'<span class="token">{short(name, 24)}</span>'


def explain(
    model: Model,
    prompt: str | Array | Sequence[int],
    logit: int | str | None = None,
    minus: int | str | None = None,
    *,
    tokenizer: Any = None,
    config: Any = None,
    surrogate: str | None = None,
    out: str | os.PathLike[str] | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> Explanation:
    """Write the difference of two logits behind a prompt as an exact sum.

    The stream at the prompt's last token is the embedding plus what each attention and each MLP adds, and with the last
    norm's factor at this token given, logits are linear in it. A bilinear MLP's part is the sum of λ(v·x)² over its
    eigenvectors. The model runs in float32 without dropout, and is not changed. The numbers are those of
    `bilens explain --prompt`.

    Args:
        model: a Llama or a relative: a module of transformers, a state dict with `config`, or a path.
        prompt: token ids [n] or [1, n], or a text.
        logit: the token that is explained, an id or a word that is one token; without it, the likeliest next one.
        minus: the token whose logit is subtracted; without it, the mean of all logits is.
        tokenizer: one of transformers, or the path of a SentencePiece model or tokenizer.json. A model that is a path
            has its own without it. Texts and words need one. Without one, tokens are called by their ids.
        config: what config.json says, of a state dict.
        surrogate: "half" splits each MLP of a gated model into a bilinear part and a remainder.
        out: folder for the files and the page; without it none are written.
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: CPU threads; without it, torch's number.

    Returns:
        The sum, with all of its terms.

    Raises:
        bilens.UsageError: for a prompt, tokens or settings that are wrong. bilens.InputError: for a model that is none
            of these, does not compute what its weights and config say, or is gated without a surrogate; for another
            model's tokenizer. KeyboardInterrupt: on Ctrl-C.

    Example:
        >>> model = transformers.AutoModelForCausalLM.from_pretrained("models/bilinear")  # doctest: +SKIP
        >>> bilens.explain(model, "Lily said that", " she", " he", tokenizer=tokenizer).terms[:3]  # doctest: +SKIP
    """
    model = unwrapped(model)
    if isinstance(model, torch.nn.Module):
        require_weights_alone(model)
    ours = tokenizer is None or isinstance(tokenizer, (str, os.PathLike))
    known = tokenizer is not None or isinstance(model, (str, os.PathLike))
    pieces = [] if ours else pieces_of(tokenizer)

    def token(word: Any, where: str) -> int | str | None:
        if word is None:
            return None
        if isinstance(word, str):
            _require_tokenizer(known, where, word)
            return word if ours else token_id(tokenizer, word, where)
        return _id(word, where)

    text, ids = "", None
    if isinstance(prompt, str):
        text = prompt
        _require_tokenizer(known, "prompt", prompt)
        if not ours:
            ids = [int(number) for number in tokenizer.encode(prompt)]
    else:
        ids = _ids(prompt)
    source = stored(model, config)
    if isinstance(model, torch.nn.Module):
        require_same_logits(model, source)
    with in_words_of(model):
        info, columns, vectors, page = _bilens.explain(
            model=source,
            prompt=text,
            ids=ids,
            logit=token(logit, "logit"),
            minus=token(minus, "minus"),
            surrogate="" if surrogate is None else str(surrogate),
            tokenizer=os.fspath(tokenizer) if ours and tokenizer is not None else "",
            pieces=pieces,
            out="" if out is None else os.fspath(out),
            device="auto" if device is None else str(device),
            threads=0 if threads is None else index(threads, _MOST_THREADS + 1, "threads"),
        )
    return Explanation(json.loads(info), dict(columns), vectors, page)


def _require_tokenizer(known: bool, where: str, text: str) -> None:
    if not known:
        raise UsageError(*problem(where, "ids beside a model in memory, or tokenizer=", repr(text)))


def _id(value: Any, where: str) -> int:
    try:
        if not isinstance(value, bool) and abs(operator.index(value)) < 2**31:
            return operator.index(value)
    except TypeError:
        pass
    raise UsageError(*problem(where, "a token's id or a word", repr(value)))


def _ids(prompt: Any) -> list[int]:
    expected = "token ids [n] or [1, n], or a text"
    if not isinstance(prompt, (torch.Tensor, np.ndarray, Sequence)):
        fix = "Give its input_ids." if hasattr(prompt, "input_ids") else ""
        raise UsageError(*problem("prompt", expected, type(prompt).__name__, fix))
    if isinstance(prompt, torch.Tensor):
        prompt = prompt.detach().cpu().numpy()
    try:
        ids = np.asarray(prompt)
    except ValueError as error:
        raise UsageError(*problem("prompt", expected, str(error))) from error
    if ids.ndim == 2 and ids.shape[0] == 1:
        ids = ids[0]
    if ids.ndim != 1:
        raise UsageError(*problem("prompt", expected, f"shape {list(ids.shape)}", "Give one prompt at a time."))
    if ids.size > 0 and ids.dtype.kind not in "iu":
        raise UsageError(*problem("prompt", expected, f"dtype {ids.dtype}"))
    if any(abs(int(number)) >= 2**31 for number in ids):
        raise UsageError(*problem("prompt", expected, "a number that is no token's"))
    return [int(number) for number in ids]
