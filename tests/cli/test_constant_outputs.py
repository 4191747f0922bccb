"""R² and shares of what does not vary are null in files and "undefined" in words, never a number."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run
from classifiers import write_model
from language_models import write_llama


def rewrite(model, change):
    """The weights with `change` made to them."""
    tensors = load_file(model / "model.safetensors")
    change(tensors)
    save_file(tensors, model / "model.safetensors")


class ConstantOutputs(TestCase):
    def setUp(self):
        super().setUp()
        self.model, self.out = self.folder / "model", self.folder / "out"

    def decompose(self, *flags):
        done = run("decompose", self.model, "--out", self.out, *flags)
        self.check(done, 0)
        return done.stdout

    def study(self, *flags):
        self.decompose("--data", "mnist-5k", *flags)
        return json.loads((self.out / "study.json").read_text())

    def test_a_class_that_is_always_0(self):
        write_model(self.model, bias=True)
        rewrite(self.model, lambda w: w["head.weight"][3].fill(0))
        (layer,) = self.study("--set", "center=none", "--set", "k=4")["layers"]
        self.assertEqual(layer["data_r2"][3], [None] * 4)
        self.assertIsNone(layer["linear_share"][3])
        rest = np.delete(np.array(layer["data_r2"], float), 3, 0)
        self.assertTrue(np.isfinite(rest).all() and (rest < 1).all())

    def test_a_layer_of_biases_alone(self):
        """Its outputs are constants, of the size of the biases; in float64 up to rounding."""
        write_model(self.model, bias=True)

        def without_inputs(w):
            for name in ("gate_proj", "up_proj"):
                w[f"layers.0.mlp.{name}.weight"].fill(0)

        rewrite(self.model, without_inputs)
        (layer,) = self.study("--set", "center=none", "--set", "k=4")["layers"]
        self.assertEqual(layer["data_r2"], [[None] * 4] * 10)
        self.assertEqual(layer["linear_share"], [None] * 10)

    def test_factors_in_the_place_of_a_constant(self):
        write_model(self.model)
        rewrite(self.model, lambda w: w["head.weight"][3].fill(0))
        (rebuilt,) = self.study("--set", "center=none", "--set", "method=joint", "--set", "k=4")["reconstruction"]
        self.assertIsNone(rebuilt["data_r2"][3])
        self.assertEqual([value is None for value in rebuilt["data_r2"]].count(True), 1)

    def test_a_layer_of_a_language_model_that_puts_out_nothing(self):
        write_llama(self.model)
        rewrite(self.model, lambda w: w["model.layers.1.mlp.down_proj.weight"].fill(0))
        text = self.folder / "tokens.bin"
        np.random.default_rng(0).integers(1, 40, 400).astype("<u2").tofile(text)
        data = {"dataset": "tokens", "path": str(text), "context": 16, "packing": "plain"}
        words = self.decompose("--set", "k=4", "--set", 'analyses=["corpus"]', "--set", "data=" + json.dumps(data))
        self.assertIn(
            "quadratic undefined, linear undefined, constant undefined of the squares; "
            "R² of the form undefined, of its eigenpairs here undefined",
            words,
        )
        self.assertNotIn("nan", words)
        silent = json.loads((self.out / "corpus.json").read_text())["layers"][1]
        self.assertEqual(
            (silent["form_r2"], silent["quadratic"], silent["r2"], silent["active"]["r2"]),
            (None, None, [None] * 5, [None] * 5),
        )
        self.assertTrue(np.isnan(load_file(self.out / "corpus.safetensors")["layer_1.r2"]).all())

    def test_a_conversion_without_a_value(self):
        write_llama(self.model)
        seen = {"tokens": 9, "loss": 1.2, "teacher_loss": 1.1}
        seen |= {"divergence": 0.1, "agreement": 0.9, "layer_r2": [0.98, None, 0.97]}
        (self.model / "conversion.json").write_text(
            json.dumps(
                {"format": "bilens-conversion", "format_version": 1, "teacher": "t", "validation": None, "test": seen}
            )
        )
        self.assertIn(
            "R² behind its layers 0.980 undefined 0.970", self.decompose("--set", "k=2", "--set", "analyses=[]")
        )


if __name__ == "__main__":
    unittest.main()
