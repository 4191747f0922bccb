"""Models in memory, as the library reads them: tensors by name, and what a config.json would say."""

import contextlib
import json
import operator
import os
import pathlib
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.nn.utils import parametrize

from bilens import _bilens
from bilens._errors import InputError, UsageError, problem, worded

Array: TypeAlias = torch.Tensor | np.ndarray[Any, Any]
Model: TypeAlias = torch.nn.Module | Mapping[str, Array] | str | os.PathLike[str]


_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def as_tensor(array: Any, name: str) -> torch.Tensor:
    """An array of real numbers as a tensor on the CPU, without gradients; not copied where it is there already."""
    if not isinstance(array, (torch.Tensor, np.ndarray)):
        raise UsageError(*problem(name, "a torch tensor or a numpy array", type(array).__name__))
    try:
        tensor = array.detach() if isinstance(array, torch.Tensor) else _of_numpy(array)
    except (TypeError, ValueError) as error:
        raise InputError(*problem(name, "an array of real numbers", str(error))) from error
    if tensor.is_meta:
        raise InputError(*problem(name, "numbers", "a tensor on the meta device", "Load the model's weights first."))
    if tensor.layout != torch.strided:
        raise InputError(*problem(name, "a dense tensor", str(tensor.layout), "Call .to_dense()."))
    if tensor.dtype not in _DTYPES:
        fix = "Call .dequantize()." if tensor.is_quantized else "Convert it, for example by .float()."
        raise InputError(*problem(name, "real numbers, float16 to float64", str(tensor.dtype), fix))
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        raise InputError(*problem(name, "a plain tensor", type(tensor).__name__, "Convert it to a torch.Tensor."))
    if tensor.numel() == 0:
        raise InputError(*problem(name, "numbers", f"none, shape {list(tensor.shape)}"))
    return tensor.cpu()


def _of_numpy(array: np.ndarray[Any, Any]) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")  # it is only read
        return torch.from_numpy(array)  # not by as_tensor, which would move it to torch's default device


def index(value: Any, count: int, name: str) -> int:
    """A whole number from 0 to count − 1."""
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if not 0 <= number < count:
        raise UsageError(*problem(name, f"a number from 0 to {count - 1}", repr(value)))
    return number


def numbers(values: Any, name: str) -> list[int]:
    """A list of whole numbers, from 0."""
    try:
        return [operator.index(value) for value in values]
    except TypeError as error:
        raise UsageError(*problem(name, "a list of whole numbers", repr(values))) from error


def unwrapped(model: Any) -> Any:
    """The module itself, of one that torch.compile, DataParallel or nnsight has wrapped."""
    while True:
        if isinstance(model, torch._dynamo.OptimizedModule):
            model = model._orig_mod
        elif isinstance(model, torch.nn.DataParallel):
            model = model.module
        elif any(kind.__module__.startswith("nnsight.") for kind in type(model).__mro__):
            model = model._module
        else:
            return model


def named(tensors: Iterable[tuple[str, Any]]) -> list[tuple[str, torch.Tensor]]:
    """Tensors by name, each as `as_tensor` gives it."""
    return [(name, as_tensor(tensor, name)) for name, tensor in tensors]


def stored(model: Any, config: Any = None) -> _bilens.StoredModel:
    """What the library reads of a model: a path, a module, or a dictionary of tensors, which may have a config."""
    model = unwrapped(model)
    if config is not None and not isinstance(model, Mapping):
        raise UsageError(*problem("config", "none beside a model that has one", type(config).__name__, "Leave it out."))
    if isinstance(model, (str, os.PathLike)):
        return _bilens.StoredModel(pathlib.Path(model))
    if isinstance(model, torch.nn.Module):
        return _bilens.StoredModel(type(model).__name__, named(parameters(model)), config_of(model))
    if isinstance(model, Mapping):
        return _bilens.StoredModel("state dict", named(model.items()), _config_text(config))
    raise UsageError(
        *problem(
            "model",
            "a torch module, a dictionary of tensors, a path, or the matrices gate, up and down",
            type(model).__name__,
        )
    )


# What the library calls a model's files, of one that has none.
_IN_MEMORY = (
    (r"; `bilens\.inspect` lists the names", "; its state_dict() has the names"),
    (r"`bilens\.inspect` lists the names", "Its state_dict() has the names"),
    (r"a model directory or a llama2\.c file", "a language model of transformers, or a state dict with its config"),
    (r"weights without a config\.json", "weights without a config"),
    (r"Name the directory that holds both", "Give the whole model"),
    (r"a config\.json or another word on what the gate is", "a config or another word on what is on the gate's side"),
    (r"by config\.json: ", "by its config: "),
    (r"none: the model is in memory", "none"),
    (
        r"^Name its file|(?<=found none\. )Name its file",
        "Give token ids, or tokenizer=, the path of a SentencePiece model or tokenizer.json",
    ),
)


def in_words_of(model: Any) -> contextlib.AbstractContextManager[None]:
    """Inside the block, errors speak of a model in memory as such."""
    return contextlib.nullcontext() if isinstance(model, (str, os.PathLike)) else worded(*_IN_MEMORY)


def parameters(model: torch.nn.Module) -> Iterable[tuple[str, torch.Tensor]]:
    """The numbers that a module's state dict holds, but no counters and masks; pruned and parametrized ones as the
    module computes with them."""
    made: dict[str, torch.Tensor] = {}
    behind: set[str] = set()  # what those are made from
    for name, module in model.named_modules(remove_duplicate=False):
        prefix = f"{name}." if name else ""
        for part in _parametrized(module):
            made[prefix + part] = effective(module, part)
            of = module.get_submodule(f"parametrizations.{part}").state_dict()
            behind |= {f"{prefix}parametrizations.{part}.{key}" for key in of}
        for part in _pruned(module):
            made[prefix + part] = effective(module, part)
            behind |= {f"{prefix}{part}_orig", f"{prefix}{part}_mask"}
    for name, tensor in {**model.state_dict(keep_vars=True), **made}.items():
        if (
            name not in behind
            and isinstance(tensor, torch.Tensor)
            and tensor.numel() > 0
            and (tensor.is_floating_point() or tensor.is_quantized)
        ):
            yield name, tensor


def effective(module: torch.nn.Module, part: str) -> Any:
    """A module's attribute, of a pruned or parametrized one what the module computes with outside of training."""
    if part in _pruned(module):
        return getattr(module, f"{part}_orig").detach() * getattr(module, f"{part}_mask")
    if part not in _parametrized(module):
        return getattr(module, part)
    modes = [(inner, inner.training) for inner in module.get_submodule(f"parametrizations.{part}").modules()]
    try:
        for inner, _ in modes:
            inner.training = False  # in training, reading a spectral norm changes it
        with torch.no_grad():
            return getattr(module, part)
    finally:
        for inner, training in modes:
            inner.training = training


def _parametrized(module: torch.nn.Module) -> list[str]:
    """Attributes that torch.nn.utils.parametrize computes."""
    return list(module.get_submodule("parametrizations")._modules) if parametrize.is_parametrized(module) else []


def _pruned(module: torch.nn.Module) -> list[str]:
    """Attributes that torch.nn.utils.prune computes, before each run of the module."""
    return [hook._tensor_name for hook in module._forward_pre_hooks.values() if is_pruning(hook)]  # type: ignore[attr-defined]


def is_pruning(hook: Any) -> bool:
    """Whether a hook is one of torch.nn.utils.prune."""
    return type(hook).__module__ == "torch.nn.utils.prune"


def config_of(model: torch.nn.Module) -> str:
    """A transformers model's config as JSON; empty for other modules, a part of such a model among them."""
    config = getattr(model, "config", None)
    whole = hasattr(config, "to_dict") and hasattr(model, "get_input_embeddings")
    return _config_text(config) if whole else ""


def _config_text(config: Any) -> str:
    if config is None:
        return ""
    if not isinstance(config, Mapping) and not hasattr(config, "to_dict"):
        expected = "a dictionary as in config.json, or a config of transformers"
        raise UsageError(*problem("config", expected, type(config).__name__))
    return json.dumps(dict(config) if isinstance(config, Mapping) else config.to_dict(), default=str)
