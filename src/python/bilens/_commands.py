"""The jobs of the command line, with settings as a dictionary or a file, and results as Python objects."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from bilens import _bilens
from bilens._errors import UsageError, error_of, problem

Path: TypeAlias = str | os.PathLike[str]
Config: TypeAlias = Mapping[str, Any] | str | os.PathLike[str] | None
Result: TypeAlias = dict[str, Any]
Callback: TypeAlias = Callable[[dict[str, Any]], object] | None


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value).removeprefix("torch.")
    raise UsageError(*problem("settings", "numbers, texts, lists and dictionaries", type(value).__name__))


_ENCODER = json.JSONEncoder(default=_plain, allow_nan=False)


def to_json(value: Any) -> str:
    """Settings as JSON text. Paths become text, arrays and numpy's numbers lists and numbers."""
    try:
        return _ENCODER.encode(value)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(*problem("settings", "numbers", "NaN or infinity")) from error


def run(
    command: str, *arguments: Path, settings: Mapping[str, Any] | None = None, callback: Callback = None, **flags: Any
) -> list[Result]:
    """Run a command of `bilens` in this process.

    Args:
        command: its name, such as "evaluate".
        arguments: what follows the name on a command line.
        settings: keys of the command's config and their values, as with `--set`; values may be nested.
        callback: a function for "train" and "finetune", as `bilens.train` takes it.
        flags: the command's flags by name: `dry_run=True`, `data="mnist:data/mnist"`. None and False leave one out.

    Returns:
        What the command prints as `results` with `--json`; with `dry_run=True` one estimate with its problems.

    Raises:
        bilens.Error: what the command would end with. Of several models, the first that failed; `results` of the
            exception has those of the others.
        KeyboardInterrupt: on Ctrl-C, with what can be resumed saved.

    Example:
        >>> bilens.run("inspect", "models/stories260k")  # doctest: +SKIP
    """
    if callback is not None and not callable(callback):
        raise UsageError(*problem("callback", "a function", type(callback).__name__))
    if callback is not None and command not in ("train", "finetune"):
        raise UsageError(*problem("callback", "train or finetune, which write metrics.jsonl", command))
    if callback is not None and flags.get("dry_run"):
        raise UsageError(*problem("callback", "none with dry_run, which writes no metrics", "a function"))
    words = [command, *(os.fspath(argument) for argument in arguments)]
    for name, value in flags.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words.append(f"{flag}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
    for key, value in (settings or {}).items():
        words.append(f"--set={key}={to_json(value)}")
    results, failures, problems, estimate = _bilens.run(words, reader(callback))
    found: list[Result] = json.loads(results)
    if failures and not flags.get("dry_run"):
        model, code, message, details = failures[0]
        error = error_of(code, message, details)
        error.results = found  # type: ignore[attr-defined]
        raise error
    if flags.get("dry_run"):
        keys = ("where", "expected", "found", "fix")
        return [{"estimate": json.loads(estimate), "problems": [dict(zip(keys, p)) for p in problems]}]
    return found


def reader(callback: Callback) -> Callable[[str], None] | None:
    """The callback as a function of a line's text."""
    if callback is None:
        return None

    def read(line: str) -> None:
        callback(json.loads(line))

    return read


def _settings_and_file(config: Config, settings: Mapping[str, Any]) -> tuple[dict[str, Any], Path | None]:
    """Keys of a config by name, single ones on top; or these alone, and the file of the others."""
    if config is None or isinstance(config, Mapping):
        return {**(config or {}), **settings}, None
    return dict(settings), config


def _with_config(command: str, config: Config, settings: Mapping[str, Any], **flags: Any) -> list[Result]:
    keys, file = _settings_and_file(config, settings)
    return run(command, *([] if file is None else [file]), settings=keys, **flags)


def train(
    config: Config = None,
    *,
    out: Path,
    resume: bool = False,
    dry_run: bool = False,
    callback: Callback = None,
    **settings: Any,
) -> Result:
    """Train an image classifier or a language model, as `bilens train`.

    Args:
        config: a dictionary, or the path of a JSON file, with the keys that `bilens.schema("train")` lists.
        out: folder of the run, which `bilens.report` and the command line read too.
        resume: go on with what an interrupted run left in `out`.
        dry_run: only check, and estimate time and memory.
        callback: called with each line of metrics.jsonl as soon as it is written: of a step {"step": ..., "loss": ...,
            "lr": ..., ...}, and of an evaluation or a sample. On a GPU the lines of several steps come
            together. What it raises ends the run as Ctrl-C does, with a checkpoint, and then comes out of this call.
        settings: single keys on top of `config`.

    Returns:
        The run's result: path of the model, losses and accuracies.

    Raises:
        bilens.Error: `UsageError` for settings, `InputError` for data, `DivergedError` for a loss that stays
            non-finite. KeyboardInterrupt on Ctrl-C: a checkpoint is saved, `resume=True` goes on.

    Example:
        >>> bilens.train("configs/demo.json", out="runs/demo", callback=print)  # doctest: +SKIP
    """
    return _with_config("train", config, settings, out=out, resume=resume, dry_run=dry_run, callback=callback)[0]


def finetune(
    config: Config = None,
    *,
    out: Path,
    resume: bool = False,
    dry_run: bool = False,
    callback: Callback = None,
    **settings: Any,
) -> Result:
    """Make a pretrained gated model bilinear, as `bilens finetune`; arguments and errors as `bilens.train`.

    Example:
        >>> bilens.finetune("configs/finetune-stories260k.json", out="runs/bilinear")  # doctest: +SKIP
    """
    return _with_config("finetune", config, settings, out=out, resume=resume, dry_run=dry_run, callback=callback)[0]


def evaluate(
    *models: Path,
    data: str | None = None,
    tokenizer: Path | None = None,
    context: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    dry_run: bool = False,
) -> list[Result]:
    """Measure loss and accuracy on images, or loss and perplexity on text, as `bilens evaluate`.

    Args:
        models: model directories or weight files.
        data: such as "mnist:FOLDER" or "text:FILE"; without it, what each model's run was tested on.
        tokenizer: the tokenizer of a text; without it, the model's own.
        context: tokens in a window.
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: CPU threads; without it, torch's number.
        dry_run: only check, and estimate time and memory.

    Returns:
        One result a model.

    Example:
        >>> bilens.evaluate("runs/demo/model")[0]["accuracy"]  # doctest: +SKIP
    """
    if not models:
        raise UsageError(*problem("bilens.evaluate", "a model", "none"))
    return run(
        "evaluate",
        *models,
        data=data,
        tokenizer=tokenizer,
        context=context,
        device=device,
        threads=threads,
        dry_run=dry_run,
    )


def check(
    model: Path,
    *,
    python: Path | None = None,
    reference: Path | None = None,
    data: str | None = None,
    context: int | None = None,
    tokenizer: Path | None = None,
    out: Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    dry_run: bool = False,
) -> Result:
    """Compare what a language model computes here with what transformers computes, as `bilens check`.

    Args:
        model: a model directory in the Hugging Face layout.
        python: a program that has transformers; without it, the Python that runs this.
        reference: what scripts/make_reference.py wrote elsewhere, in the place of a Python.
        data: "text:FILE" to tokenize; without it, a short text with many kinds of characters.
        context: tokens in a row; without it, 128.
        tokenizer: without it, the model's own.
        out: folder for check.json, which a report of the same weights shows; without it none is written.
        device: "auto", "cpu", "cuda" or "cuda:N"; transformers computes on the CPU.
        threads: CPU threads, here and there; without it, torch's number.
        dry_run: only check files and settings, and estimate memory.

    Returns:
        The content of check.json: hidden states of each layer, logits and losses in float32 and in the checkpoint's
        dtype, each with its error and tolerance, and the tokenization of the text.

    Raises:
        bilens.Error: where something differs by more than rounding; `results` of the exception has the figures.
            `InputError` for a reference of other weights.

    Example:
        >>> bilens.check("models/stories260k")["passed"]  # doctest: +SKIP
    """
    if python is None and reference is None:
        python = sys.executable or None
    return run(
        "check",
        model,
        python=python,
        reference=reference,
        data=data,
        context=context,
        tokenizer=tokenizer,
        out=out,
        device=device,
        threads=threads,
        dry_run=dry_run,
    )[0]


def convert_checkpoint(
    source: Path, out: Path, *, tokenizer: Path | None = None, activation: str | None = None
) -> Result:
    """Write a checkpoint as a model directory that transformers loads, as `bilens convert`.

    Args:
        source: any checkpoint that bilens reads.
        out: the directory, which appears whole or not at all.
        tokenizer: to be put there; without it, the one beside the weights.
        activation: the gate's, where nothing beside the weights says it.

    Example:
        >>> bilens.convert_checkpoint("stories260K.bin", "models/stories260k")  # doctest: +SKIP
    """
    return run("convert", source, out, tokenizer=tokenizer, gate=activation)[0]


def generate(
    model: Path,
    prompt: str,
    *,
    max_tokens: int = 256,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    tokenizer: Path | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> str:
    """Continue a prompt, as `bilens generate`.

    Args:
        model: a language model's directory or weight file.
        prompt: the text that is continued.
        max_tokens: the most tokens that follow; an end-of-text token ends it before.
        temperature: what logits are divided by before a token is drawn; 0 takes the likeliest one each time.
        top_k: draw among this many likeliest tokens.
        top_p: draw among the likeliest tokens that have this probability together, in (0, 1].
        seed: the seed of the draws.
        tokenizer: without it, the model's own.
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: CPU threads; without it, torch's number.

    Returns:
        The prompt and what follows it.

    Raises:
        bilens.Error: `UsageError` for settings that do not go together, `InputError` for a model that does not run.

    Example:
        >>> bilens.generate("models/stories260k", "Once upon a time", temperature=0)  # doctest: +SKIP
    """
    for name, value in {"top_k": top_k, "top_p": top_p, "seed": seed}.items():
        if temperature == 0 and value is not None:
            raise UsageError(*problem(name, "none with temperature 0, which draws nothing", repr(value)))
    text: str = run(
        "generate",
        model,
        prompt=prompt,
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        tokenizer=tokenizer,
        device=device,
        threads=threads,
    )[0]["text"]
    return text


def attack(
    model: Path,
    config: Config = None,
    *,
    data: str | None = None,
    out: Path | None = None,
    dry_run: bool = False,
    **settings: Any,
) -> Result:
    """Find the smallest change of each test image that gives another class, with proof, as `bilens attack`.

    Args:
        model: an image classifier of one bilinear layer, or its run.
        config: a dictionary, or the path of a JSON file, with the keys that `bilens.schema("attack")` lists.
        data: such as "mnist:data/mnist"; without it, what the model was trained on.
        out: folder for `attack.json` and `attack.safetensors`, which has the figures of each image.
        dry_run: only check, and estimate memory.
        settings: single keys on top of `config`.

    Returns:
        The content of `attack.json`. Lengths are in pixel/255.

    Example:
        >>> bilens.attack("runs/mnist/model", images=100)["smallest"]["median_lower"]  # doctest: +SKIP
    """
    settings, file = _settings_and_file(config, settings)
    return run("attack", model, settings=settings, config=file, data=data, out=out, dry_run=dry_run)[0]


def intervene(
    decomposition: Path,
    config: Config = None,
    *,
    data: str | Mapping[str, Any] | None = None,
    dry_run: bool = False,
    **settings: Any,
) -> Result:
    """Measure what a language model loses without an eigenvector's contribution, beside controls.

    Args:
        decomposition: folder of a language model's decomposition.
        config: a dictionary, or the path of a JSON file, with the keys that `bilens.schema("intervene")` lists.
        data: such as "text:FILE", or as in the config; without it, the test part of what the model was trained on.
        dry_run: only check, and estimate time and memory.
        settings: single keys on top of `config`.

    Example:
        >>> bilens.intervene("runs/stories/model/decomposition", layer=4, eigenvectors=[0])  # doctest: +SKIP
    """
    if isinstance(data, Mapping):
        settings["data"], data = data, None
    settings, file = _settings_and_file(config, settings)
    return run("intervene", decomposition, settings=settings, config=file, data=data, dry_run=dry_run)[0]


def explain_image(
    model: Path,
    input: str,
    *,
    data: str | None = None,
    out: Path | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> Result:
    """Write one image's logits as a sum over eigenvectors, as `bilens explain --input`.

    Args:
        model: an image classifier's directory.
        input: "test:N" or "train:N" of its data, or "IDX_FILE:N".
        data: such as "mnist:FOLDER"; without it, what the model's run was tested on.
        out: folder for the files and the page; without it none are written.
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: CPU threads; without it, torch's number.

    Example:
        >>> bilens.explain_image("runs/demo/model", "test:7")  # doctest: +SKIP
    """
    return run("explain", model, input=input, data=data, out=out, device=device, threads=threads)[0]


def report(*directories: Path, out: Path) -> Result:
    """Make one HTML page about runs and decompositions, as `bilens report`.

    Example:
        >>> bilens.report("runs/demo", out="report.html")  # doctest: +SKIP
    """
    if not directories:
        raise UsageError(*problem("bilens.report", "the folder of a run or a decomposition", "none"))
    return run("report", *directories, out=out)[0]


def inspect(path: Path) -> Result:
    """List names, shapes, dtypes and sizes of a model or a weight file, from headers alone.

    Example:
        >>> bilens.inspect("runs/demo/model")  # doctest: +SKIP
    """
    return run("inspect", path)[0]


def train_tokenizer(data: str, *, vocabulary: int, out: Path, kind: str = "sentencepiece") -> Result:
    """Train a vocabulary on a text, as `bilens tokenizer train`.

    Args:
        data: `text:FILE`.
        vocabulary: number of pieces, bytes included.
        out: folder of the tokenizer.
        kind: "sentencepiece", which writes a tokenizer.model, or "byte-level", which writes a tokenizer.json.

    Example:
        >>> bilens.train_tokenizer("text:stories.txt", vocabulary=4096, out="runs/tokenizer")  # doctest: +SKIP
    """
    return run("tokenizer", "train", data=data, vocabulary=vocabulary, kind=kind, out=out)[0]


def schema(of: str) -> Result:
    """Give the JSON Schema of a command's config: "train", "finetune", "decompose", "intervene" or "attack"; or what
    stands in the files that are written: "files".

    Example:
        >>> sorted(bilens.schema("decompose")["properties"])[:3]
        ['analyses', 'center', 'certify']
    """
    return run("schema", of)[0]
