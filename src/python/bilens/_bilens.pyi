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

class BilinearLayer:
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

class InteractionOperator:
    def __init__(self, layer: BilinearLayer, directions: Tensor | None) -> None: ...
    def form(self, first: int, count: int, in_double: bool) -> Tensor: ...
    def apply(self, x: Tensor) -> Tensor: ...
