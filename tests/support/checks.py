"""A check.json, as `bilens check --out` writes it."""

import json


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
