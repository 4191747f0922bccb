"""How alike models are: image classifiers on disk, or layers in memory."""

import json
import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from bilens import _bilens
from bilens._commands import Path, Result, run
from bilens._errors import InputError, UsageError, problem
from bilens._layers import BilinearLayer, mlp_modules
from bilens._models import Array, as_tensor

_MOST_INPUT = 1e60  # its fourth power is multiplied with others

LayerLike: TypeAlias = torch.nn.Module | BilinearLayer | Sequence[Array]


def compare(
    *models: Path | LayerLike, data: str | Array | None = None, device: str | None = None, threads: int | None = None
) -> list[Result]:
    """Say how alike models are, every pair of them, with nulls, as `bilens compare`.

    Either paths of image classifiers of one layer, or layers in memory of the same inputs and outputs. Layers are
    compared output by output, in the place of classes; their outputs are not centred. Inner layers of two models have
    spaces of their own and are refused: of a classifier give `(gate @ E, up @ E, (H - H.mean(0)) @ down)` with its
    embedding E and head H.

    Args:
        models: paths; or of each layer the matrices `(gate, up, down)`, a `bilens.BilinearLayer`, or a module that is
            one bilinear MLP and nothing else.
        data: for paths, such as "mnist:FOLDER"; without it, what the run beside the first model was tested on. For
            layers, inputs [N, d_in].
        device: for paths alone; layers are compared on the CPU.
        threads: CPU threads, for paths alone; without it, torch's number.

    Returns:
        Of each pair `models`, `weights` (cosines of the interaction matrices), `eigenvectors`, and with data `data` and
        `outputs` (correlations), each with `same_class` beside its nulls. Of three paths or more, a last entry with
        `over`: mean and standard deviation of `same_class` over the pairs, and the 95% interval of its mean over
        models.

    Raises:
        bilens.InputError: for models that share no space, and for gated layers.

    Example:
        >>> one = (torch.randn(16, 8), torch.randn(16, 8), torch.randn(4, 16))
        >>> swapped = (one[1], one[0], one[2])
        >>> round(bilens.compare(one, swapped)[0]["weights"]["same_class"], 6)
        1.0
    """
    if len(models) < 2:
        raise UsageError(*problem("bilens.compare", "at least two models", "one" if models else "none"))
    paths = [model for model in models if isinstance(model, (str, os.PathLike))]
    if len(paths) == len(models):
        if data is not None and not isinstance(data, str):
            raise UsageError(*problem("data", 'text, such as "mnist:FOLDER", beside paths', type(data).__name__))
        return run("compare", *paths, data=data, device=device, threads=threads)
    layers = [_layer(model, f"models[{number}]") for number, model in enumerate(models)]
    for name, value in {"device": device, "threads": threads}.items():
        if value is not None:
            raise UsageError(*problem(name, "none beside layers in memory", repr(value)))
    first = layers[0]
    for number, layer in enumerate(layers):
        if (layer.d_model, layer.d_out) != (first.d_model, first.d_out):
            expected = f"{first.d_model} inputs and {first.d_out} outputs, as of models[0]"
            raise InputError(*problem(f"models[{number}]", expected, f"{layer.d_model} and {layer.d_out}"))
    x = None if data is None else _inputs(data, first.d_model)
    return [
        {"models": [first.name, second.name], **json.loads(_bilens.compare_layers(first._native, second._native, x))}
        for number, first in enumerate(layers)
        for second in layers[number + 1 :]
    ]


def _layer(model: Any, where: str) -> BilinearLayer:
    """One layer that shares its inputs and outputs with others."""
    if isinstance(model, (str, os.PathLike)):
        raise UsageError(*problem(where, "a layer in memory, as the others", "a path", "Give paths alone."))
    if isinstance(model, torch.nn.Module):
        model = _whole(model, where)
    elif isinstance(model, (tuple, list)) and len(model) == 3:
        gate, up, down = (as_tensor(matrix, where) for matrix in model)
        for matrix in (gate, up, down):
            if matrix.dim() != 2:
                raise InputError(*problem(where, "matrices gate, up and down", f"shape {list(matrix.shape)}"))
        model = BilinearLayer(gate.T, up.T, down.T, name=where)
    if not isinstance(model, BilinearLayer):
        expected = "matrices (gate, up, down), a bilens.BilinearLayer, a module or a path"
        raise UsageError(*problem(where, expected, type(model).__name__))
    if model.activation != "none":
        found = "an unknown one" if model.activation is None else repr(model.activation)
        fix = "Only bilinear layers have interaction matrices."
        raise InputError(*problem(where, 'a bilinear layer, activation "none"', found, fix))
    return model


def _whole(model: torch.nn.Module, where: str) -> BilinearLayer:
    """The only MLP of a module that has nothing else."""
    found = mlp_modules(model)
    module, layer = found[0]
    others = {id(parameter) for parameter in model.parameters()} - {id(parameter) for parameter in module.parameters()}
    if len(found) > 1 or others:
        has = f"{len(found)} MLPs" if len(found) > 1 else "an MLP among other parameters"
        fix = "Inner layers of two models have spaces of their own and cannot be compared. Give the matrices of a "
        fix += "layer with what leads to it and from it folded in."
        raise InputError(*problem(where, "a module that is one bilinear MLP", has, fix))
    layer.name = where
    return layer


def _inputs(data: Any, width: int) -> torch.Tensor:
    x = as_tensor(data, "data") if isinstance(data, (torch.Tensor, np.ndarray)) else None
    if x is None or x.dim() != 2 or x.shape[1] != width or x.shape[0] < 2:
        found = type(data).__name__ if x is None else f"shape {list(x.shape)}"
        raise UsageError(*problem("data", f"inputs [N, {width}] of the layers, at least two", found))
    if not x.isfinite().all():
        raise InputError(*problem("data", "finite numbers", "others"))
    x = x.to(torch.float64).contiguous()
    largest = float(x.abs().max())
    if not 1 / _MOST_INPUT < largest < _MOST_INPUT:
        expected = "inputs whose fourth powers float64 holds"
        raise InputError(*problem("data", expected, f"a largest one of {largest:.3g}", "Scale them."))
    return x
