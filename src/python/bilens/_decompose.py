"""Decompose layers in memory or models on disk."""

import contextlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from bilens import _bilens, _commands
from bilens._decomposition import Decomposition, load
from bilens._errors import UsageError, problem
from bilens._faithful import require_said_activations, require_same_logits, require_weights_alone
from bilens._layers import by_structure, require_plain
from bilens._models import Array, Model, as_tensor, config_of, in_words_of, named, numbers, stored, unwrapped
from bilens._token_data import Tokens, data_for, in_words_of_tokens
from bilens._tokens import pieces_of, token_id

Directions: TypeAlias = Array | Mapping[str, Any] | str | None


def decompose(
    model: Model | Array,
    up: Array | None = None,
    down: Array | None = None,
    *,
    gate_bias: Array | None = None,
    up_bias: Array | None = None,
    down_bias: Array | None = None,
    activation: str | None = None,
    directions: Directions = None,
    layers: Sequence[int] | Literal["all"] | None = None,
    minus: Model | None = None,
    data: str | Mapping[str, Any] | Tokens | None = None,
    tokenizer: Any = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    **settings: Any,
) -> Decomposition:
    """Decompose bilinear layers into eigenvectors or other factors.

    The model may be

    - three matrices `gate, up, down` of one layer y = down((gate x) ⊙ (up x)), as `torch.nn.Linear` stores them:
      [d_hidden, d_in], [d_hidden, d_in] and [d_out, d_hidden], of one dtype from float16 to float64;
    - a torch module or a state dict with gated MLPs under known names, such as a transformers model: all of its
      layers, or those in `layers`. Other names are given by `weights=dict(gate="blocks.{layer}.w.weight", ...)`;
    - the path of a model, as on the command line.

    Nothing is copied but tensors that are not on the CPU. The result is bit for bit that of `bilens decompose` at the
    same number of threads.

    Args:
        model: as above.
        up, down: with matrices only. `down=None` there: the layer has none.
        gate_bias, up_bias, down_bias: with matrices only: [d_hidden], [d_hidden], [d_out].
        activation: what is on the gate's side: "none", "silu", "gelu", "gelu_tanh" or "relu". With matrices the default
            is "none", a bilinear layer. A model says it by its config or its modules; where it does not, you have to.
        directions: output directions. Rows [n, d_out]; or a kind such as "axes"; or a dictionary as in the config,
            such as `{"plus": [" she"], "minus": [" he"]}` for tokens. Without it: the head's rows where the layer
            reaches the head linearly, else every axis of the output.
        layers: numbers of layers; without it, all.
        minus: a model whose layers are subtracted.
        data: what studies, weighting and calibrated surrogates read: such as "mnist:FOLDER" or "text:FILE", or as in
            the config. Or token ids: a row [n], whose documents begin at the model's BOS, or where it has none at each
            EOS; or documents without padding, [documents, n] or a list, all of which begin with one id that stands
            nowhere else. They are written to a file while the call lasts.
        tokenizer: path of a SentencePiece model or tokenizer.json that names the tokens, or a tokenizer of
            transformers.
        out: folder for the files of `bilens decompose`, with the studies of `analyses`. Without it nothing is written,
            and there are no studies.
        resume: go on with what is in `out`, which must be of the same model and settings.
        overwrite: replace a decomposition in `out`.
        settings: every other key of `bilens.schema("decompose")`: `k=10`, `method="eigen"` (or "hosvd", "cp", ...),
            `certify=True`, `solver`, `dtype="float64"`, `fold_norm` (whether the gain of the norm in front goes into
            the matrices), `traceless` (Q − (tr Q/d) I), `weighting="data"` (spectra as the model's own inputs vary on
            `data`: tensors `weighted_values`, `weighted_readings`, `weighted_patterns`, ...), `surrogate="half"` (what
            stands for a gated layer), `device`, `threads`, ...

    Returns:
        Eigenvalues, eigenvectors, residuals, bounds and other factors as torch tensors.

    Raises:
        bilens.UsageError: for settings that are wrong. bilens.InputError: for weights that are missing, not finite, or
            do not fit together. KeyboardInterrupt: on Ctrl-C; with `out`, `resume=True` goes on.

    Example:
        >>> gate, up, down = torch.randn(64, 16), torch.randn(64, 16), torch.randn(16, 64)
        >>> d = bilens.decompose(gate, up, down, k=4, certify=True)
        >>> d.eigenvectors.shape, bool((d.certified_bound <= d.eigenvalues[:, -1].abs() * 1.001).all())
        (torch.Size([16, 4, 16]), True)
    """
    config = dict(settings)
    if isinstance(minus, str) and minus == "previous":
        fix = 'Several paths are one job: bilens.run("decompose", *models, minus="previous").'
        raise UsageError(*problem("minus", "a model, for one model has none before it", '"previous"', fix))
    if "gate" in config:
        raise UsageError(*problem("gate", "activation=, which is what it is called here", repr(config["gate"])))
    if resume and overwrite:
        raise UsageError(*problem("bilens.decompose", "resume, which keeps what is there, or overwrite", "both"))
    if out is None:
        for name, value in {"resume": resume, "overwrite": overwrite, "analyses": config.get("analyses")}.items():
            if value:
                raise UsageError(*problem(name, "out=, a folder, beside it", "none"))
    if activation is not None:
        config["gate"] = activation
    if layers is not None:
        config["layers"] = layers if isinstance(layers, str) else numbers(layers, "layers")
    pieces: list[str] = []
    if isinstance(tokenizer, (str, os.PathLike)):
        config["tokenizer"] = os.fspath(tokenizer)
    elif tokenizer is not None:
        pieces = pieces_of(tokenizer)
    matrices = {"up": up, "down": down, "gate_bias": gate_bias, "up_bias": up_bias, "down_bias": down_bias}
    given = [name for name, matrix in matrices.items() if matrix is not None]
    if isinstance(model, (torch.Tensor, np.ndarray)):
        source = _of_matrices({"gate": model, **matrices}, config)
    elif given and isinstance(model, (torch.nn.Module, Mapping, str, os.PathLike)):
        raise UsageError(*problem("bilens.decompose", f"no {given[0]} beside a model", "both"))
    elif given:
        raise UsageError(*problem("gate", "a torch tensor or a numpy array", type(model).__name__))
    else:
        model = unwrapped(model)
        if isinstance(model, torch.nn.Module):
            require_plain(model)
            if config_of(model):
                require_said_activations(model)
            else:
                config = by_structure(model, config)
        source = stored(model)
    rows = None
    if isinstance(directions, Mapping):
        config["directions"] = {**directions} if "kind" in directions else {"kind": "tokens", **directions}
        if pieces:
            for key in {"plus", "minus", "tokens"} & directions.keys():
                config["directions"][key] = [
                    token_id(tokenizer, word, f'directions["{key}"]') for word in directions[key]
                ]
    elif isinstance(directions, str):
        config["directions"] = directions
    elif directions is not None:
        rows = as_tensor(directions, "directions")
        rows = rows[None] if rows.dim() == 1 else rows
    with in_words_of(model), contextlib.ExitStack() as files:
        if data is not None and not isinstance(data, (str, Mapping)):
            files.enter_context(in_words_of_tokens())
            data = files.enter_context(data_for(model, data))
            if isinstance(model, torch.nn.Module):
                require_weights_alone(model)
                require_same_logits(model, source)
            if resume:
                _continue(pathlib.Path(os.fspath(out or "")), data)
        if isinstance(data, Mapping):
            config["data"] = data
        return Decomposition(
            _bilens.decompose(
                model=source,
                minus=None if minus is None else stored(minus),
                config=_commands.to_json(config),
                directions=rows,
                data=data if isinstance(data, str) else "",
                out="" if out is None else os.fspath(out),
                resume=resume,
                overwrite=overwrite,
                pieces=pieces,
            ),
            out,
        )


def _continue(out: pathlib.Path, data: dict[str, Any]) -> None:
    """Name the tokens as a finished decomposition does that was made of the same ones."""
    file = out / "decomposition.json"
    if not file.is_file():
        return
    before = load(out).info["config"]["data"]
    if before and pathlib.Path(before.get("path", "")).name == pathlib.Path(data["path"]).name:
        data["path"] = before["path"]


def _of_matrices(matrices: Mapping[str, Any], config: dict[str, Any]) -> _bilens.StoredModel:
    """One layer as a model whose tensors have these names."""
    if matrices["up"] is None:
        raise UsageError(*problem("up", "a matrix beside gate", "None"))
    there = {name: matrix for name, matrix in matrices.items() if matrix is not None}
    if "weights" in config:
        raise UsageError(*problem("weights", "no names beside matrices", repr(config["weights"])))
    config.setdefault("gate", "none")
    config["weights"] = {**{name: name for name in there}, "down": "down" if "down" in there else "identity"}
    return _bilens.StoredModel("gate, up, down", named(there.items()), "")
