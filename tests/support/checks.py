"""A check.json, as `bilens check --out` writes it, and the numbers of a reference that it is made with, by numpy."""

import json

import numpy as np

from language_models import forward

LAYERS, ROWS, LENGTH = 3, 3, 20
ABOUT = {
    "format": "bilens-reference",
    "format_version": "1",
    "model": "somewhere/else",
    "dtype": "float32",
    "transformers": "5.0.1",
    "torch": "2.9.0",
    "model_class": "LlamaForCausalLM",
    "tokenizer_problem": "there is none beside the weights",
}


def reference_of(weights, seed=0):
    """What a reference holds, by numpy."""
    tokens = np.random.default_rng(seed).integers(0, 300, (ROWS, LENGTH))
    states, logits, losses = [], [], []
    for row in tokens:
        found, parts, _ = forward(weights, row, LAYERS)
        h = weights["model.embed_tokens.weight"][row]
        stream = [h]
        for attention, _, change in parts:
            h = h + attention + change
            stream.append(h)
        last = stream[-1] / np.sqrt((stream[-1] ** 2).mean(-1, keepdims=True) + 1e-5) * weights["model.norm.weight"]
        states.append(np.stack([*stream[:-1], last]))
        shifted = found[:-1] - found[:-1].max(-1, keepdims=True)
        chosen = np.take_along_axis(shifted, row[1:, None], 1)[:, 0]
        losses.append(np.log(np.exp(shifted).sum(-1)) - chosen)
        logits.append(found[-5:])
    made = {"states": np.stack(states, 1), "logits": np.stack(logits), "losses": np.stack(losses)}
    return {"tokens": tokens, **{f"float32.{name}": value.astype(np.float32) for name, value in made.items()}}


def quantity(name, error, reference_error=None):
    tolerance = 0.02 if reference_error else 1.5e-5
    return {
        "name": name,
        "largest": 7.5,
        "difference": 7.5 * error,
        "error": error,
        "reference_error": reference_error,
        "tolerance": tolerance,
        "within": error <= tolerance,
    }


def write_check(folder, weights, **changes):
    """@param weights SHA-256 of the model's, @param changes keys with other values"""
    names = ("embedding", "layer 0", "layer 1", "logits", "loss")
    half = [quantity(name, 0.003 + i / 1e3, 0.004 + i / 1e3) for i, name in enumerate(names)]
    whole = [quantity(name, (i + 1) * 1e-6) for i, name in enumerate(names)]
    tokenizer = {
        "reference_class": "LlamaTokenizerFast",
        "ids": 40,
        "reference_ids": 40,
        "first_difference": 3,
        "same_as_file": True,
        "file_same_as_reference": False,
        "within": True,
    }
    record = {
        "format": "bilens-check",
        "format_version": 1,
        "model": "models/one",
        "model_sha256": weights,
        "version": "0.1.0",
        "device": "cpu, 2 threads",
        "transformers": "5.0.1",
        "torch": "2.9.0",
        "model_class": "LlamaForCausalLM",
        "reference": "python3",
        "rows": 4,
        "length": 128,
        "dtypes": [
            {
                "dtype": "bfloat16",
                "reference_dtype": "bfloat16",
                "loss": 5.5,
                "reference_loss": 5.25,
                "quantities": half,
            },
            {"dtype": "float32", "reference_dtype": "float32", "loss": 5.5, "reference_loss": 5.0, "quantities": whole},
        ],
        "tokenizer": tokenizer,
        "passed": True,
        "failures": [],
        "notes": ["One thing is to be known."],
    }
    (folder / "check.json").write_text(json.dumps({**record, **changes}))
