"""`weighting="data"` in Python, against the command line."""

import json
import pathlib
import tempfile
import unittest

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

from bilens_cli import run
from classifiers import write_model
from python_package import bilens, same_bits

bilens.set_progress(None)
HOLDER = tempfile.TemporaryDirectory(prefix="bilens-python-weighting-")
FOLDER = pathlib.Path(HOLDER.name)
BOS, VOCABULARY = 1, 61


def llama():
    torch.manual_seed(0)
    sizes = dict(vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2)
    heads = dict(num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads, hidden_act="silu"))


class Weighting(unittest.TestCase):
    def same_as_on_the_command_line(self, found, model, *flags):
        out = model.with_suffix(".weighted")
        done = run("decompose", model, "--out", out, "--set", "weighting=data", "--set", "threads=1", *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        for number, layer in found.layers.items():
            tensors = load_file(out / f"layer_{number}.safetensors")
            self.assertEqual(tensors.keys(), layer.tensors.keys())
            for name, tensor in tensors.items():
                self.assertTrue(same_bits(layer.tensors[name], tensor), name)
        saved = model.with_suffix(".saved")
        found.save(saved)
        again = bilens.load(saved)
        self.assertEqual(again.info["layers"][0]["figures"], found.info["layers"][0]["figures"])

    def test_a_model_in_memory_and_its_tokens(self):
        model, ids = llama(), np.random.default_rng(0).integers(3, VOCABULARY, (40, 20))
        ids[:, 0] = BOS
        settings = dict(k=3, surrogate="half", corpus={"tokens": 300}, weighting="data", threads=1)
        found = bilens.decompose(model, data=ids, **settings)
        model.save_pretrained(FOLDER / "llama")
        ids.astype("<u4").tofile(FOLDER / "ids.bin")
        flags = ("--set", "k=3", "--set", "surrogate=half", "--set", "corpus.tokens=300", "--set", "analyses=[]")
        data = ("--data", f"tokens,dtype=uint32:{FOLDER / 'ids.bin'}")
        self.same_as_on_the_command_line(found, FOLDER / "llama", *flags, *data)
        figures = found.layers[1].info["figures"]
        self.assertTrue(figures["fixed_length"])
        self.assertEqual((figures["weights"]["inputs"], figures["weights"]["documents"]), (290, 15))
        self.assertIn("weighted", repr(found))
        self.assertIn("of the variance is linear", found._repr_html_())

    def test_a_classifier(self):
        write_model(FOLDER / "digits", d_model=12, d_hidden=12)
        found = bilens.decompose(FOLDER / "digits", data="mnist-5k", k=3, weighting="data", threads=1)
        self.same_as_on_the_command_line(found, FOLDER / "digits", "--data", "mnist-5k", "--set", "k=3")
        with self.assertRaisesRegex(bilens.UsageError, "a tensor eigenvalues"):
            found.eigenvalues  # noqa: B018
        found.save(FOLDER / "page")
        bilens.report(FOLDER / "page", out=FOLDER / "page.html")
        self.assertIn("weighted", (FOLDER / "page.html").read_text())
        self.assertEqual(json.loads((FOLDER / "page/decomposition.json").read_text())["config"]["weighting"], "data")

    def test_matrices_have_no_inputs(self):
        gate = torch.randn(8, 4)
        with self.assertRaisesRegex(bilens.UsageError, "weighting"):
            bilens.decompose(gate, gate, weighting="data")


if __name__ == "__main__":
    unittest.main()
