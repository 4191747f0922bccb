"""Language models of transformers out of model directories."""

import importlib
import os
from typing import Any

import torch

from bilens._errors import InputError, problem

BY_LAYER = "by_layer"  # in the place of an activation's name, where hidden_acts has each layer's
_KEYS = ("hidden_act", "hidden_activation")
_OF_CONFIG = ("revision", "subfolder", "cache_dir", "token", "local_files_only", "trust_remote_code")
_PARTS = ("act_fn", "activation_fn")  # of transformers' MLPs


def load_transformers(path: str | os.PathLike[str], *, kind: Any = None, **settings: Any) -> torch.nn.Module:
    """Load a model directory into transformers, also one that is bilinear in some of its layers only.

    transformers has one activation for all layers and refuses the config of such a model, whose `hidden_act` is
    "by_layer". This loads it and puts into each layer the activation that `hidden_acts` names.

    Args:
        path: a model directory, such as OUT/model of `bilens finetune`.
        kind: the class that loads it; without it, transformers' AutoModelForCausalLM.
        settings: arguments of its from_pretrained: `dtype`, `device_map`, ...

    Returns:
        The model, in evaluation mode. Its config keeps the layers' activations, so that what its save_pretrained writes
        is read by this function and by bilens.

    Raises:
        bilens.InputError: for a config whose `hidden_acts` do not fit its layers. What from_pretrained raises.

    Example:
        >>> model = bilens.load_transformers("runs/partial/model")  # doctest: +SKIP
    """
    transformers = importlib.import_module("transformers")
    of_config = {key: settings[key] for key in _OF_CONFIG if key in settings}
    config = settings.pop("config", None) or transformers.AutoConfig.from_pretrained(path, **of_config)
    text = config.get_text_config()
    keys = [key for key in _KEYS if getattr(text, key, None) == BY_LAYER]
    for key in keys:
        setattr(text, key, "linear")
    kind = kind or transformers.AutoModelForCausalLM
    model: torch.nn.Module = kind.from_pretrained(path, config=config, **settings)
    if keys:
        _put_activations(model, path, getattr(text, "hidden_acts", None))
        for key in keys:
            setattr(model.config.get_text_config(), key, BY_LAYER)  # type: ignore[operator,union-attr]
    return model.eval()


def _put_activations(model: Any, path: str | os.PathLike[str], names: Any) -> None:
    known = importlib.import_module("transformers.activations").ACT2FN
    layers = model.get_decoder().layers
    if not isinstance(names, list) or len(names) != len(layers) or not all(name in known for name in names):
        expected = f"{len(layers)} names of activations, one a layer"
        raise InputError(*problem(f"{os.fspath(path)}: hidden_acts", expected, repr(names)))
    for layer, name in zip(layers, names, strict=True):
        part = next(part for part in _PARTS if hasattr(layer.mlp, part))
        setattr(layer.mlp, part, known[name])
