"""Gated models in memory that become bilinear ones."""

import contextlib
import importlib
import json
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bilens import _bilens, _commands
from bilens._errors import InputError, UsageError, problem, worded
from bilens._faithful import require_same_logits, require_weights_alone
from bilens._models import config_of, in_words_of, stored, unwrapped
from bilens._token_data import Tokens, data_for, in_words_of_tokens
from bilens._transformers import load_transformers

_MOST_CONTEXT = 512  # as the config has it by default
_TOKENIZER = ((r"Give token ids, or tokenizer=, the path", 'Give data={"tokenizer": ...}, the path'),)


def convert(
    model: torch.nn.Module,
    tokens: Tokens,
    *,
    stages: Sequence[str | Mapping[str, Any]] | None = None,
    context: int | None = None,
    data: Mapping[str, Any] | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    callback: _commands.Callback = None,
    **settings: Any,
) -> torch.nn.Module:
    """Make a gated model in memory bilinear, as `bilens finetune` does with one on disk.

    The model stays as it is. Files of the run lie in `out`, or in a temporary folder, which takes a few times the
    model's size on disk.

    Args:
        model: a language model of transformers with gated MLPs: a Llama or a relative.
        tokens: ids of the model's own tokenizer, [n] or [documents, n] or a list of documents. The last part is kept
            for the test, the part before it for validation: `data=dict(held_out=0.05)`, of each.
        stages: what is done, in this order: "widen", "calibrate" in closed form, "anneal", "settle". Each is named, or
            a dictionary with its settings, such as `dict(kind="calibrate", tokens=100_000)`, or with `layers=[0, 3]`
            or `budget=0.01` to convert some layers only. Without it, calibrate and settle.
        context: tokens in a window; without it, 512 or the model's positions, whichever is less.
        data: other keys of the config's "data", such as `held_out` or `packing`.
        out: folder of the run, which `bilens.report` and the command line read too.
        resume: go on with what an interrupted call left in `out`.
        callback: called with each line of metrics, as by `bilens.train`.
        settings: other keys of `bilens.schema("finetune")`: `train=dict(...)`, `baseline`, `device`, `threads`, ...

    Returns:
        The bilinear model, of the dtype and device of the one that was given, in evaluation mode. It is of the same
        class, but a Qwen 2, and a Mistral without a window, become Llamas, which can have biases in their MLPs. Its
        attribute `conversion` says what the conversion cost, a dictionary as finetune.json: losses beside the teacher,
        KL divergence, agreement, R² behind each layer, on the parts that were kept.

    Raises:
        bilens.UsageError: for settings, and for a model that is bilinear already. bilens.InputError: for a model that
            is no such language model, and for tokens that are not its own. bilens.DivergedError: for a loss that
            stays non-finite. KeyboardInterrupt: on Ctrl-C; with `out`, `resume=True` goes on.

    Example:
        >>> bilinear = bilens.convert(model, tokens, stages=["calibrate"])  # doctest: +SKIP
        >>> bilinear.conversion["test"]["divergence"]  # doctest: +SKIP
    """
    model = unwrapped(model)
    if not hasattr(model, "from_pretrained") or not config_of(model):
        found = type(model).__name__
        fix = "Of a path bilens.finetune makes a bilinear model; bilens.convert_checkpoint only writes it anew."
        raise InputError(*problem("model", "a language model of transformers in memory", found, fix))
    require_weights_alone(model)
    if resume and out is None:
        raise UsageError(*problem("resume", "out=, the folder of the run, beside it", "none"))
    if callback is not None and not callable(callback):
        raise UsageError(*problem("callback", "a function", type(callback).__name__))
    if data is not None and not isinstance(data, Mapping):
        raise UsageError(*problem("data", "a dictionary of settings beside tokens", repr(data)))
    if context is not None and "context" in (data or {}):
        raise UsageError(*problem("context", 'one of context and data["context"]', "both"))
    if isinstance(stages, str):
        stages = [stages]
    for key, instead in {"teacher": "model, in memory", "tokenizer": "tokens, which are ids already"}.items():
        if key in settings:
            raise UsageError(*problem(key, instead, repr(settings[key])))
    name = type(model).__name__
    positions = getattr(model.config, "max_position_embeddings", _MOST_CONTEXT)
    settings |= {"teacher": name} | ({} if stages is None else {"stages": list(stages)})
    given = {"context": min(_MOST_CONTEXT, positions) if context is None else context, **(data or {})}
    with contextlib.ExitStack() as files:
        ids = files.enter_context(data_for(model, tokens, "tokens"))
        for key in ids.keys() & given.keys():
            raise UsageError(*problem(f'data["{key}"]', "nothing beside tokens, which say it", repr(given[key])))
        settings["data"] = given | ids
        files.enter_context(worded(*_TOKENIZER))
        files.enter_context(in_words_of(model))
        files.enter_context(in_words_of_tokens("tokens"))
        if context is not None:
            files.enter_context(worded((r'\bdata\["context"\]', "context")))
        source = stored(model)
        require_same_logits(model, source)
        if out is None:
            out = files.enter_context(tempfile.TemporaryDirectory(prefix="bilens-"))
        folder = pathlib.Path(out)
        _bilens.convert(source, _commands.to_json(settings), folder, resume, _commands.reader(callback))
        return _loaded(model, folder)


def _loaded(model: Any, folder: pathlib.Path) -> torch.nn.Module:
    """What a run has written, as a module like the one that it was made of."""
    of_its_own = json.loads((folder / "model/config.json").read_text())["model_type"] == model.config.model_type
    kind = type(model) if of_its_own else importlib.import_module("transformers").LlamaForCausalLM
    with torch.device("cpu"):
        bilinear: Any = load_transformers(folder / "model", kind=kind, dtype=model.dtype)
    bilinear.generation_config = model.generation_config
    for name in ("pad_token_id", "attention_dropout"):
        if hasattr(model.config, name):
            setattr(bilinear.config, name, getattr(model.config, name))
    bilinear.conversion = json.loads((folder / "finetune.json").read_text())
    module: torch.nn.Module = bilinear.to(model.device).eval()
    return module
