"""What a model does when eigenvectors' contributions to one direction of a layer's output are changed: hooks."""

import contextlib
import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from bilens import _bilens
from bilens._decomposition import Decomposition, Layer
from bilens._errors import InputError, UsageError, problem
from bilens._layers import BilinearLayer, gain_in_front, mlp_modules
from bilens._models import index, numbers, unwrapped

Change = Callable[[torch.Tensor], torch.Tensor]

_CHANGED: "weakref.WeakKeyDictionary[torch.nn.Module, list[_Part]]" = weakref.WeakKeyDictionary()  # inside blocks


def ablate(
    model: torch.nn.Module,
    decomposition: Decomposition,
    *,
    layer: int | None = None,
    direction: int = 0,
    eigenvectors: Sequence[int] = (0,),
    how: str = "mean",
) -> contextlib.AbstractContextManager[None]:
    """Take eigenvectors' contributions to one direction out of a layer's output, inside a `with` block.

    Their part of u·y is q = Σ λ (v·x)². The output becomes y + (q' − q) u/‖u‖², so that u·y moves by q' − q and nothing
    orthogonal to u does.

    Args:
        model: the torch module that was decomposed; any that `bilens.mlps` finds layers in.
        decomposition: one of that model, with eigenpairs.
        layer: number of the layer; without it, the decomposition's only one.
        direction: one of the layer's, counted from 0.
        eigenvectors: numbers of that direction's eigenvectors, from 0.
        how: what q' is: "mean", the mean of q over all tokens of the call, padding among them, or "zero".

    Blocks may stand in each other; an eigenvector that a block around changes already is refused. A backward pass that
    runs the model again (checkpointing) belongs inside. With a surrogate, q is the surrogate's.

    Raises:
        bilens.InputError: where the eigenvectors are not the model's. bilens.UsageError: also at the end of the block,
            where the layer did not run in it.

    Example:
        >>> mlp = bilens.nn.BilinearMLP(4, 8)
        >>> d = bilens.decompose(mlp, k=4)
        >>> with bilens.ablate(mlp, d, direction=1, how="zero"):
        ...     y = mlp(torch.randn(3, 4))
    """
    if how not in ("mean", "zero"):
        raise UsageError(
            *problem("how", '"mean" or "zero"', repr(how), "bilens.scale and bilens.patch change otherwise.")
        )

    def change(q: torch.Tensor) -> torch.Tensor:
        return q.mean().expand_as(q) if how == "mean" else torch.zeros_like(q)

    return _changed(_Part(model, decomposition, layer, direction, eigenvectors), change)


def scale(
    model: torch.nn.Module,
    decomposition: Decomposition,
    factor: float,
    *,
    layer: int | None = None,
    direction: int = 0,
    eigenvectors: Sequence[int] = (0,),
) -> contextlib.AbstractContextManager[None]:
    """Multiply eigenvectors' contributions to one direction by a factor, inside a `with` block.

    Else as `bilens.ablate`.

    Example:
        >>> mlp = bilens.nn.BilinearMLP(4, 8)
        >>> with bilens.scale(mlp, bilens.decompose(mlp, k=4), 2.0):
        ...     y = mlp(torch.randn(3, 4))
    """
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not math.isfinite(factor):
        raise UsageError(*problem("factor", "a finite number", repr(factor)))
    return _changed(_Part(model, decomposition, layer, direction, eigenvectors), lambda q: factor * q)


def patch(
    model: torch.nn.Module,
    decomposition: Decomposition,
    source: Any,
    *,
    layer: int | None = None,
    direction: int = 0,
    eigenvectors: Sequence[int] = (0,),
) -> contextlib.AbstractContextManager[None]:
    """Put the contributions that eigenvectors have on another input in their places, inside a `with` block.

    Args:
        source: what `model` is called with first; a dictionary holds keyword arguments. Its tokens stand for those of
            the calls inside at the same places, so it is at least as long.

    Else as `bilens.ablate`.

    Example:
        >>> mlp = bilens.nn.BilinearMLP(4, 8)
        >>> with bilens.patch(mlp, bilens.decompose(mlp, k=4), torch.randn(3, 4)):
        ...     y = mlp(torch.randn(3, 4))
    """
    part = _Part(model, decomposition, layer, direction, eigenvectors)
    recorded: list[torch.Tensor] = []

    def record(q: torch.Tensor) -> torch.Tensor:
        recorded.append(q)
        return q

    with _changed(part, record), torch.no_grad():
        model(**source) if isinstance(source, Mapping) else model(source)
    if len(recorded) != 1:
        raise UsageError(*problem("source", "an input with which the layer runs once", f"{len(recorded)} runs"))

    def change(q: torch.Tensor) -> torch.Tensor:
        there = recorded[0]
        if there.dim() != q.dim() or any(a < b for a, b in zip(there.shape, q.shape)):
            expected = f"at least the tokens of the call, {list(q.shape)}"
            raise UsageError(*problem("source", expected, str(list(there.shape))))
        return there[tuple(slice(size) for size in q.shape)]

    return _changed(part, change)


class _Part:
    """Eigenpairs of one direction of a layer, and the module that the layer is."""

    def __init__(
        self,
        model: torch.nn.Module,
        decomposition: Decomposition,
        number: int | None,
        direction: int,
        eigenvectors: Sequence[int],
    ) -> None:
        layer = _layer_of(decomposition, number)
        model = unwrapped(model)
        self.module, mlp = _module_of(model, layer)
        norm = decomposition.info.get("norm") or {}
        if norm.get("behind"):
            expected = "a decomposition of the MLP's own output"
            found = f"one behind {norm['behind']}"
            raise UsageError(*problem("decomposition", expected, found, "Decompose with fold_norm=False."))
        if mlp.d_model != layer.info["d_in"] or mlp.d_out != layer.info["d_out"]:
            expected = f"inputs of {layer.info['d_in']} and outputs of {layer.info['d_out']}, as decomposed"
            raise InputError(*problem(mlp.name, expected, f"{mlp.d_model} and {mlp.d_out}"))
        self.gain = gain_in_front(model, mlp.name, norm)
        n, k = layer.eigenvalues.shape
        direction = index(direction, n, "direction")
        indices = [index(i, k, "eigenvectors") for i in numbers(eigenvectors, "eigenvectors")]
        if not indices or len(set(indices)) < len(indices):
            raise UsageError(*problem("eigenvectors", "different numbers", repr(indices)))
        self.vectors = layer.eigenvectors[direction, indices].double()
        self.values = layer.eigenvalues[direction, indices]
        self.indices = indices
        axes = torch.eye(mlp.d_out, dtype=torch.float64)
        self.u = (axes if layer.directions is None else layer.directions.double())[direction]
        if not self.u.any():
            raise UsageError(*problem(f"direction {direction}", "one that is not 0", "0"))
        _require_of_model(layer, mlp, self, direction, decomposition.info.get("surrogate"))

    def quantity(self, x: torch.Tensor) -> torch.Tensor:
        """q of each token, float64."""
        wide = x.double()
        if self.gain is not None:
            gain = self.gain.to(x.device).double()
            wide = wide * torch.where(gain == 0, 0.0, 1 / gain)
        return (wide @ self.vectors.to(x.device).T).square() @ self.values.to(x.device)


def _layer_of(decomposition: Decomposition, number: int | None) -> Layer:
    if number is None:
        return decomposition._only
    if number not in decomposition.layers:
        found = ", ".join(map(str, decomposition.layers))
        raise UsageError(*problem("layer", f"one that was decomposed ({found})", str(number)))
    return decomposition.layers[number]


def _module_of(model: torch.nn.Module, layer: Layer) -> tuple[torch.nn.Module, BilinearLayer]:
    if layer.info["input_space"] != "model":
        raise UsageError(
            *problem(
                "decomposition",
                "eigenvectors over the MLP's own input",
                'input_space "input"',
                'Set input_space="model".',
            )
        )
    modules = mlp_modules(model)
    chosen = [pair for pair in modules if _number_in(pair[1].name) == layer.number] if len(modules) > 1 else modules
    if len(chosen) != 1:
        names = ", ".join(mlp.name for _, mlp in modules)
        raise UsageError(*problem("model", f"one gated MLP with the number {layer.number}", names))
    return chosen[0]


def _number_in(name: str) -> int | None:
    numbers = [int(part) for part in name.split(".") if part.isdigit()]
    return numbers[-1] if numbers else None


def _require_of_model(
    layer: Layer, mlp: BilinearLayer, part: _Part, direction: int, surrogate: Mapping[str, Any] | None
) -> None:
    """Each vector must be an eigenvector of the form that the model's own weights have along u."""
    stands_in = None if surrogate is None or mlp.activation == "none" else surrogate["kind"]  # for a gated layer
    if stands_in not in (None, "half"):
        return  # its units are no part of the model
    gain = torch.ones(mlp.d_model) if part.gain is None else part.gain
    gate, up = (matrix.double().T * gain.double() for matrix in (mlp.W_gate, mlp.W_in))
    gate = gate / 2 if stands_in == "half" else gate
    native = _bilens.BilinearLayer(gate, up, mlp.W_out.double().T, None, None, None, mlp.name)
    form = _bilens.InteractionOperator(native, part.u[None])
    values = part.values
    if "shift" in layer.tensors:
        values = values + layer.tensors["shift"][direction]
    missing = form.apply(part.vectors[None].contiguous())[0] - values[:, None] * part.vectors
    if missing.norm(dim=1).max() > 1e-3 * layer.eigenvalues[direction].abs().max():
        raise InputError(
            *problem(
                f"layer {layer.number}",
                "eigenvectors of the model's own weights",
                "others",
                "Decompose this model, after its last step of training.",
            )
        )


def _require_apart(part: _Part, around: _Part) -> None:
    """No eigenvector may be changed by two blocks, each of which takes all of it from the layer's input."""
    if torch.nn.functional.cosine_similarity(part.u, around.u, dim=0).abs() < 1 - 1e-9:
        return
    same = (part.vectors @ around.vectors.T).abs().amax(1) > 0.999
    if same.any():
        again = [index for index, is_same in zip(part.indices, same.tolist()) if is_same]
        fix = "Name all eigenvectors in one block, or leave them out of one of the two."
        raise UsageError(
            *problem("eigenvectors", "none that a block around changes already", f"{again} of this direction", fix)
        )


@contextlib.contextmanager
def _changed(part: _Part, change: Change) -> Iterator[None]:
    u = part.u / part.u.square().sum()
    runs = 0
    parts = _CHANGED.setdefault(part.module, [])
    for around in parts:
        _require_apart(part, around)

    def hook(_: torch.nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], y: torch.Tensor) -> torch.Tensor:
        nonlocal runs
        runs += 1
        q = part.quantity(inputs[0] if inputs else next(iter(named.values())))
        return y + ((change(q) - q)[..., None] * u.to(y.device)).to(y.dtype)

    handle = part.module.register_forward_hook(hook, with_kwargs=True)
    parts.append(part)
    try:
        yield
    finally:
        parts.remove(part)
        handle.remove()
    if runs == 0:
        fix = "A model that torch.compile has compiled before does not see the change: call the module itself."
        raise UsageError(*problem("with block", "a call that runs the layer", "none", fix))
