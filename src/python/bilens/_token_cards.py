"""Eigenvectors of a language model with the tokens nearest to them."""

import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from bilens import _bilens
from bilens._errors import InputError, UsageError, problem
from bilens._html import facts, new_name, number, piece, short, table, tabs
from bilens._models import Model, in_words_of, stored
from bilens._table import frame, rows_of
from bilens._tokens import pieces_of

_BASES = ("embedding", "unembedding")
_MOST_LAYERS = 8  # in a notebook
_MOST_DIRECTIONS = 16  # of all layers together
_MOST_EIGENVECTORS = 5
_MOST_TOKENS = 5
_LINES = 20  # of the text


class LayerCards:
    """Cards of one layer's eigenvectors.

    Attributes:
        number: the layer's.
        words: whether the layer reads the embedding and writes to the unembedding itself, or other layers lie between.
        eigenvalues: [n, k] float64.
        directions: names of the n directions; their numbers where they have none.
        ids: [n, k, 2, m] int32, tokens of the embedding: nearest to the eigenvector v, then nearest to −v.
        cosines: [n, k, 2, m] float64, with the token's row, from which the mean of all rows is taken.
        quantiles: [n, k, 2, m] float64, the share of random directions that come less near; 1: none came as near.
        unembedding_ids, unembedding_cosines, unembedding_quantiles: the same by rows of the unembedding.
    """

    def __init__(
        self, layer: int, words: str, eigenvalues: torch.Tensor, names: Sequence[str], of: Mapping[str, torch.Tensor]
    ) -> None:
        self.number, self.words, self.eigenvalues = layer, words, eigenvalues
        self.directions = list(names) or [str(u) for u in range(len(eigenvalues))]
        self.ids, self.cosines, self.quantiles = of["ids"], of["cosines"], of["quantiles"]
        self.unembedding_ids = of["unembedding_ids"]
        self.unembedding_cosines = of["unembedding_cosines"]
        self.unembedding_quantiles = of["unembedding_quantiles"]


class TokenCards:
    """The tokens that eigenvectors read: what `Decomposition.cards` gives.

    Attributes:
        layers: cards of each layer by its number.
        vocabulary: names of all tokens, by id.
        info: study.json as a dictionary, without controls and interactions (docs/formats.md).
    """

    def __init__(
        self, model: str, info: dict[str, Any], layers: dict[int, LayerCards], pieces: Sequence[str] = ()
    ) -> None:
        self.model, self.info, self.layers = model, info, layers
        self.vocabulary: list[str] = [*pieces, *info["vocabulary"][len(pieces) :]]

    def nearest(self, layer: int, direction: int, eigenvector: int) -> tuple[list[str], list[str]]:
        """Names of the tokens nearest to an eigenvector, and of those nearest to its negative."""
        near, opposite = self.layers[layer].ids[direction, eigenvector].tolist()
        return [self.vocabulary[i] for i in near], [self.vocabulary[i] for i in opposite]

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        """One row a token of a card, a numpy array with the columns layer, direction, eigenvector, eigenvalue, basis
        ("embedding" or "unembedding"), side (1: nearest to v, −1: to −v), rank (from 0), id, token, cosine and
        quantile."""
        parts = [self._rows(layer, basis) for layer in self.layers.values() for basis in _BASES]
        return np.concatenate(parts)

    def table(self) -> Any:
        """The rows as a DataFrame of pandas.

        Raises:
            ImportError: without pandas.

        Example:
            >>> cards.table().query("rank == 0 and basis == 'embedding'")  # doctest: +SKIP
        """
        return frame(self.rows)

    def _rows(self, layer: LayerCards, basis: str) -> np.ndarray[Any, Any]:
        prefix = "" if basis == "embedding" else "unembedding_"
        ids = getattr(layer, prefix + "ids").numpy()
        u, i, side, rank = (place.ravel() for place in np.indices(ids.shape))
        names = np.array(self.vocabulary, object)
        return rows_of(
            {
                "layer": np.full(ids.size, layer.number),
                "direction": np.array(layer.directions, object)[u],
                "eigenvector": i,
                "eigenvalue": layer.eigenvalues.numpy()[u, i],
                "basis": np.full(ids.size, basis, object),
                "side": 1 - 2 * side,
                "rank": rank,
                "id": ids.ravel(),
                "token": names[ids.ravel()],
                "cosine": getattr(layer, prefix + "cosines").numpy().ravel(),
                "quantile": getattr(layer, prefix + "quantiles").numpy().ravel(),
            }
        )

    def __repr__(self) -> str:
        lines = list(self._lines())
        more = [f"  and {len(lines) - _LINES} more eigenvectors"] if len(lines) > _LINES else []
        return "\n".join([f"<bilens.TokenCards of {self.model}", *lines[:_LINES], *more]) + ">"

    def _lines(self) -> Iterator[str]:
        """A line for each eigenvector: "  layer 4, ▁she − ▁he, 0: λ −0.554: ▁his ime (0.35, quantile 0.117) | ..."."""
        for layer in self.layers.values():
            for u, i in np.ndindex(*layer.eigenvalues.shape):
                sides = [
                    f"{' '.join(names[:_MOST_TOKENS])} "
                    f"({layer.cosines[u, i, side, 0]:.2f}, quantile {layer.quantiles[u, i, side, 0]:.3f})"
                    for side, names in enumerate(self.nearest(layer.number, u, i))
                ]
                value = number(layer.eigenvalues[u, i].item())
                yield f"  layer {layer.number}, {layer.directions[u]}, {i}: λ {value}: {' | '.join(sides)}"

    def _repr_html_(self) -> str:
        """What a notebook shows: the cards by the embedding, direction by direction."""
        name = new_name()
        shown = list(self.layers.values())[:_MOST_LAYERS]
        most = max(1, _MOST_DIRECTIONS // len(shown))
        panels = [self._layer(layer, f"{name}-{layer.number}", most) for layer in shown]
        labels = [f"layer {layer.number}" for layer in shown]
        body = tabs(name, labels, panels, len(self.layers), "layers") if len(self.layers) > 1 else panels[0]
        about = [("tokens", str(len(self.vocabulary))), ("random directions", str(self.info["random_directions"]))]
        note = (
            '<div class="note">In brackets: cosine with the nearest token’s row, and its quantile, the share of '
            "random directions that come less near.</div>"
        )
        return piece(name, f"Tokens that eigenvectors of {short(self.model, 120)} read", facts(about) + body + note)

    def _layer(self, layer: LayerCards, name: str, most: int) -> str:
        panels = [self._card(layer, u) for u in range(min(most, len(layer.directions)))]
        return f'<div class="note">{short(layer.words, 400)}</div>' + tabs(
            name, layer.directions[: len(panels)], panels, len(layer.directions), "directions"
        )

    def _card(self, layer: LayerCards, u: int) -> str:
        k = layer.eigenvalues.shape[1]
        rows = []
        for i in range(min(k, _MOST_EIGENVECTORS)):
            cells = [str(i), number(layer.eigenvalues[u, i].item())]
            for side, names in enumerate(self.nearest(layer.number, u, i)):
                tokens = "".join(f'<span class="token">{short(word, 12)}</span>' for word in names[:_MOST_TOKENS])
                cosine = f"{layer.cosines[u, i, side, 0]:.2f}".replace("-", "−")
                cells.append(f'{tokens} <span class="worth">({cosine}, {layer.quantiles[u, i, side, 0]:.3f})</span>')
            rows.append(cells)
        shown = table(["eigenvector", "λ", "nearest to v", "nearest to −v"], rows, (2, 3))
        return shown + (f'<div class="note">and {k - len(rows)} more</div>' if k > len(rows) else "")


def find(
    decomposition: _bilens.Decomposition,
    info: Mapping[str, Any],
    eigenvalues: Mapping[int, torch.Tensor],
    folder: pathlib.Path | None,
    tokenizer: Any,
    model: Model | None,
    nearest: int | None,
) -> TokenCards:
    """Cards as `Decomposition.cards` gives them: of the study in `folder`, or by the tokens of `model`."""
    ours = tokenizer is None or isinstance(tokenizer, (str, os.PathLike))
    pieces = [] if ours else pieces_of(tokenizer)
    found = None
    if model is None and folder is not None:
        found = _of_study(decomposition, folder, nearest)
    if found is None:
        if model is None:
            model = pathlib.Path(info["model"])
            if not model.exists():
                raise UsageError(*problem("model", "the model that was decomposed", "None", "Give it as model=."))
        path = os.fspath(tokenizer) if ours and tokenizer is not None else ""
        with in_words_of(model):
            found = _bilens.token_cards(decomposition, stored(model), nearest, path, pieces)
    elif tokenizer is not None and ours:
        fix = "Give the model too, or a tokenizer of transformers."
        raise UsageError(*problem("tokenizer", "none beside a study, which has names", repr(tokenizer), fix))
    study = json.loads(found[0])
    if len(pieces) > len(study["vocabulary"]):
        expected = f"at most the {len(study['vocabulary'])} tokens of the model"
        raise InputError(*problem("tokenizer", expected, str(len(pieces)), "It may be another model's."))
    names = {entry["layer"]: entry.get("direction_names") or [] for entry in info["layers"]}
    layers = {
        layer: LayerCards(layer, entry["words"], eigenvalues[layer], names[layer], dict(tensors))
        for entry, (layer, tensors) in zip(study["layers"], found[1])
    }
    return TokenCards(info["model"], study, layers, pieces)


def _of_study(decomposition: _bilens.Decomposition, folder: pathlib.Path, nearest: int | None) -> Any:
    """None where there is no study of tokens."""
    if not (folder / "study.json").is_file():
        return None
    if _bilens.load(folder).info() != decomposition.info():
        fix = "Load it again, or give the model."
        raise InputError(*problem(str(folder), "the decomposition that was loaded", "another", fix))
    found = _bilens.read_token_cards(folder)
    if found is not None and nearest is not None and nearest != (has := json.loads(found[0])["nearest"]):
        raise UsageError(*problem("nearest", f"{has}, as the study has", str(nearest), "Give the model too."))
    return found
