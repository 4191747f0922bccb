"""The library itself; src/python/*.cpp bind it. JSON goes as text."""

import pathlib
from collections.abc import Callable, Sequence

from torch import Tensor

version: str

Problem = tuple[str, str, str, str]

def free_memory() -> int: ...
def run(
    arguments: list[str], on_metrics: Callable[[str], None] | None
) -> tuple[str, list[tuple[str, int, str, list[Problem]]], list[Problem], str]: ...
def convert(
    model: StoredModel, config: str, out: pathlib.Path, resume: bool, on_metrics: Callable[[str], None] | None
) -> None: ...
def logits(model: StoredModel, ids: list[int]) -> Tensor: ...

class StoredModel:
    def __init__(self, *arguments: pathlib.Path | str | Sequence[tuple[str, Tensor]]) -> None: ...

class LayerDecomposition:
    layer: int
    def tensors(self) -> list[tuple[str, Tensor]]: ...
    def contributions(self, direction: int, inputs: Tensor) -> Tensor: ...
    def linear_part(self, direction: int, inputs: Tensor) -> Tensor: ...

class Decomposition:
    def info(self) -> str: ...
    def layers(self) -> list[LayerDecomposition]: ...
    def part(self, place: int) -> Decomposition: ...
    def save(self, out: pathlib.Path, overwrite: bool) -> None: ...

def decompose(
    model: StoredModel,
    minus: StoredModel | None,
    config: str,
    directions: Tensor | None,
    data: str,
    out: str,
    resume: bool,
    overwrite: bool,
    pieces: list[str],
) -> Decomposition: ...
def load(folder: pathlib.Path) -> Decomposition: ...

Cards = tuple[str, list[tuple[int, list[tuple[str, Tensor]]]]]

def token_cards(
    decomposition: Decomposition, model: StoredModel, nearest: int | None, tokenizer: str, pieces: list[str]
) -> Cards: ...
def read_token_cards(folder: pathlib.Path) -> Cards | None: ...
def explain(
    model: StoredModel,
    prompt: str,
    ids: list[int] | None,
    logit: int | str | None,
    minus: int | str | None,
    surrogate: str,
    tokenizer: str,
    pieces: list[str],
    out: str,
    device: str,
    threads: int,
) -> tuple[str, list[tuple[str, Tensor]], Tensor, str | None]: ...

class BilinearLayer:
    gate: Tensor
    up: Tensor
    down: Tensor | None
    gate_bias: Tensor | None
    up_bias: Tensor | None
    down_bias: Tensor | None
    def __init__(
        self,
        gate: Tensor,
        up: Tensor,
        down: Tensor,
        gate_bias: Tensor | None,
        up_bias: Tensor | None,
        down_bias: Tensor | None,
        name: str,
    ) -> None: ...

def compare_layers(a: BilinearLayer, b: BilinearLayer, x: Tensor | None) -> str: ...
def folded_layers(model: StoredModel, config: str) -> tuple[list[tuple[int, BilinearLayer]], str]: ...

class InteractionOperator:
    def __init__(self, layer: BilinearLayer, directions: Tensor | None) -> None: ...
    def form(self, first: int, count: int, in_double: bool) -> Tensor: ...
    def apply(self, x: Tensor) -> Tensor: ...
