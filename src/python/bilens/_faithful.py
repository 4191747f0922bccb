"""Whether a model in memory computes what its weights and its config say, which is all that the library sees."""

from typing import Any

import torch

from bilens import _bilens
from bilens._errors import InputError, problem
from bilens._layers import activations, require_plain
from bilens._models import is_pruning
from bilens._transformers import BY_LAYER

# Keys of config.json that have another name here.
_ACTIVATIONS = {"linear": "none", "swish": "silu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
_IDS = 16  # that a model is tried on, spread over its vocabulary
_SAME = 1e-3  # of logits in float32, over the largest of them: rounding in many layers stays far below
_SAME_16_BITS = 0.1  # and in 16 bits


def require_said_activations(model: torch.nn.Module) -> None:
    """The gated MLPs of a model with a config must have the activation that the config says.

    Raises:
        bilens.InputError: for others, and for activations that are not known.
    """
    config = getattr(model, "config", None)
    said = getattr(config, "hidden_activation", None) or getattr(config, "hidden_act", None)
    if not isinstance(said, str):
        return
    for name, activation in activations(model):
        of_layer = _said_of(name, said, config)
        if activation != _ACTIVATIONS.get(of_layer, of_layer):
            of_config = f'the activation "{of_layer}" of its config'
            found = "one that is not known" if activation is None else f'"{activation}"'
            fix = 'Say it in the config too ("linear" is none), or give state_dict().'
            raise InputError(*problem(name, of_config, found, fix))


def _said_of(name: str, said: str, config: Any) -> str:
    """What a config says of the MLP of this name, "model.layers.3.mlp"."""
    acts = getattr(config, "hidden_acts", None)
    if said != BY_LAYER or not isinstance(acts, list):
        return said
    number = ([int(part) for part in name.split(".") if part.isdigit()] or [len(acts)])[-1]
    return str(acts[number]) if number < len(acts) else said


def require_weights_alone(model: torch.nn.Module) -> None:
    """Nothing may run in a model but what its weights and its config say.

    Raises:
        bilens.InputError: for modules with hooks or a forward of their own, other than those of transformers and
            accelerate, which compute nothing else; for rotary frequencies that were rounded; for activations that are
            not the config's.
    """
    require_plain(model)
    require_said_activations(model)
    for name, buffer in model.named_buffers():
        if name.endswith("inv_freq") and buffer.dtype in (torch.float16, torch.bfloat16):
            fix = "Load the model in this dtype instead of casting it, or give its state_dict() and config=."
            found = str(buffer.dtype).removeprefix("torch.")
            raise InputError(*problem(name, "float32 or float64", found, fix))
    for name, module in model.named_modules():
        hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
        own = "forward" in vars(module) and not hasattr(module, "_hf_hook")
        if own or not all(map(_computes_nothing, hooks)):
            found = "a forward of its own" if own else "hooks"
            fix = "Take them off: the library computes what the weights say."
            raise InputError(*problem(name or "model", "modules without hooks", found, fix))


def _computes_nothing(hook: Any) -> bool:
    module = getattr(hook, "__module__", type(hook).__module__)
    return is_pruning(hook) or module.startswith("transformers.")


def require_same_logits(model: Any, source: _bilens.StoredModel) -> None:
    """A language model must compute what the library makes of its weights and its config, tried on some tokens.

    Raises:
        bilens.InputError: where its logits differ by more than rounding does.
    """
    vocabulary = getattr(getattr(model, "config", None), "vocab_size", None)
    if not isinstance(vocabulary, int):
        return  # no language model, as the library says in its own words
    some = [place * vocabulary // _IDS for place in range(_IDS)]
    ours = _bilens.logits(source, some).double()
    modes = [(module, module.training) for module in model.modules()]
    device = next(model.parameters()).device
    try:
        model.eval()
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            theirs = model(torch.tensor([some], device=device)).logits[0, -1].double().cpu()
    finally:
        for module, training in modes:
            module.training = training
    wide = all(weight.dtype in (torch.float32, torch.float64) for weight in model.parameters())
    largest = float(torch.maximum(ours.abs().max(), theirs.abs().max()))
    difference = float((ours - theirs).abs().max())
    if not difference <= (_SAME if wide else _SAME_16_BITS) * largest:
        name = type(model).__name__
        expected = "the logits of its weights and its config"
        fix = "Something beside them was changed. Give state_dict() and config= where these are what is meant."
        raise InputError(*problem(name, expected, f"others, by {difference:.2g} of {largest:.2g}", fix))
