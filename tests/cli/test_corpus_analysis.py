"""What eigenpairs contribute on text; the study itself is held against sums token by token in C++."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file

from bilens_cli import run
from classifiers import write_model as write_classifier
from decompositions import EXACT, DecompositionTest
from language_models import folded, forward, write_llama


class Corpus(DecompositionTest):
    def setUp(self):
        super().setUp()
        self.text = self.folder / "tokens.bin"
        np.random.default_rng(0).integers(1, 40, 400).astype("<u2").tofile(self.text)
        self.flags = (*EXACT[:4], "--set", 'analyses=["corpus"]')

    def test_all_eigenpairs_rebuild_a_bilinear_layer_and_not_a_gated_one(self):
        write_llama(self.model)
        data = {"dataset": "tokens", "path": str(self.text), "context": 16, "packing": "plain"}
        found = self.decompose(*self.flags, "--set", "data=" + json.dumps(data), "--set", "corpus.tokens=320")
        summary = found["results"][0]["layers"][1]["corpus"]
        self.assertEqual(summary["tokens"], 320 - 20)
        for value in (summary["form_r2"], summary["r2"][-1], summary["correlation"][-1]):
            self.assertAlmostEqual(value, 1, delta=1e-4)
        self.assertAlmostEqual(sum(summary[part] for part in ("quadratic", "linear", "constant")), 1, delta=1e-9)
        about = json.loads((self.out / "corpus.json").read_text())
        self.assertEqual(
            (about["format"], about["tokens"], about["data"]["path"]), ("bilens-corpus", 300, str(self.text))
        )
        tensors = load_file(self.out / "corpus.safetensors")
        n, k = self.layer(1)["eigenvalues"].shape
        self.assertEqual(tensors["layer_1.r2"].shape, (n, k + 1))
        self.assertEqual(tensors["layer_1.contribution_mean"].shape, (n, k))
        # What the eigenpairs contribute on average is the mean of the quadratic part.
        np.testing.assert_allclose(
            tensors["layer_1.contribution_mean"].sum(1), tensors["layer_1.part_mean"][:, 0], rtol=1e-5, atol=1e-6
        )  # that one in float32
        # Without its trace a form has that added again: λ(v·x)² alone leave it out.
        found = self.decompose(
            *self.flags,
            "--set",
            "data=" + json.dumps(data),
            "--set",
            "corpus.tokens=320",
            "--set",
            "corpus.loss_tokens=300",
            "--set",
            "traceless=true",
        )
        shift = self.layer(1)["shift"]
        self.assertGreater(abs(shift).max() * 16, 0.1 * abs(self.layer(1)["eigenvalues"]).max())  # it matters
        summary = found["results"][0]["layers"][1]["corpus"]
        for value in (summary["form_r2"], summary["r2"][-1]):
            self.assertAlmostEqual(value, 1, delta=1e-4)
        self.assertAlmostEqual(summary["losses"]["change"][-1]["mean"], 0, delta=1e-4)
        self.assertGreater(abs(summary["losses"]["change"][0]["mean"]), 1e-3)
        write_llama(self.folder / "gated", act="silu")
        found = self.decompose(
            *self.flags, "--set", "surrogate=half", "--set", "data=" + json.dumps(data), model=self.folder / "gated"
        )
        self.assertLess(found["results"][0]["layers"][1]["corpus"]["form_r2"], 0.999)

    def check_units(self, w, ids):
        """Each unit stands for numpy's least-squares fit of its product by five terms on these tokens."""
        windows = [ids[first : first + 16][:-1] for first in range(0, len(ids), 16) if len(ids[first : first + 16]) > 1]
        x = np.concatenate([forward(w, window, act="silu")[1][1][1] for window in windows])
        z, v = x @ folded(w, 1, "gate_proj").T, x @ folded(w, 1, "up_proj").T
        f = z / (1 + np.exp(-z))
        stored = load_file(self.out / "surrogate.safetensors")
        of_unit = [stored[f"layer_1.{name}"] for name in ("gate_shift", "up_scale", "up_gate", "up_shift", "constant")]
        shift, scale, across, up_shift, constant = (numbers.astype(float) for numbers in of_unit)
        found = (z + shift) * (scale * v + across * z + up_shift) + constant
        size = np.sqrt(np.mean(z**2, 0))
        for unit in range(z.shape[1]):
            zu, vu = z[:, unit], v[:, unit]
            columns = np.stack([zu * vu, vu, zu**2, zu, np.ones(len(z))], 1)
            best, *_ = np.linalg.lstsq(columns, f[:, unit] * vu, rcond=None)
            if abs(best[1] / best[0]) > 8 * size[unit]:  # nearly a parabola
                self.assertAlmostEqual(abs(shift[unit]) / (8 * size[unit]), 1, delta=1e-5)
                continue
            np.testing.assert_allclose(found[:, unit], columns @ best, atol=1e-4 * abs(f[:, unit] * vu).max())

    def test_units_fitted_on_text_stand_for_a_gated_layer(self):
        gated = self.folder / "gated"
        w = write_llama(gated, act="silu")
        data = {"dataset": "tokens", "path": str(self.text), "context": 16, "packing": "plain"}
        flags = (
            *self.flags,
            "--set",
            "data=" + json.dumps(data),
            "--set",
            "corpus.tokens=200",
            "--set",
            "corpus.sample=50",
        )
        summaries = {}
        for kind in ("half", "calibrated"):
            found = self.decompose(*flags, "--set", f"surrogate={kind}", model=gated)["results"][0]
            summaries[kind] = found["layers"][1]["corpus"]
            tensors = load_file(self.out / "corpus.safetensors")
            error, bound = tensors["layer_1.surrogate.error"], tensors["layer_1.surrogate.bound"]
            self.assertEqual(error.shape, bound.shape)
            self.assertEqual(error.shape[1], 50)
            self.assertTrue((error <= bound * (1 + 1e-4) + 1e-9).all())
            self.assertGreater(error.max(), 0)
            self.assertLessEqual(summaries[kind]["surrogate"]["error"], summaries[kind]["surrogate"]["bound"])
        self.assertGreater(summaries["calibrated"]["form_r2"], summaries["half"]["form_r2"])
        about = self.description()["surrogate"]
        self.assertEqual((about["kind"], about["tokens"], about["first_token"]), ("calibrated", 200, 200))
        self.assertEqual([layer["layer"] for layer in about["layers"]], [0, 1, 2])
        # The study's form is over the same tokens, of the directions alone.
        self.assertEqual(about["held_out_tokens"], 200)
        for layer in about["layers"]:
            self.assertLess(layer["unit_r2"], 1)
            self.assertLess(layer["line_output_r2"], 1)
            self.assertLess(layer["output_r2"], 1)
        self.assertIn("not the layer", about["meaning"])
        self.check_units(w, np.fromfile(self.text, "<u2")[200:400])
        # Losses are measured on more tokens: the fit keeps behind them.
        self.decompose(
            *flags,
            "--set",
            "surrogate=calibrated",
            "--set",
            "corpus.tokens=100",
            "--set",
            "corpus.loss_tokens=300",
            model=gated,
        )
        self.assertEqual(self.description()["surrogate"]["first_token"], 300)
        self.assertIn(
            "lower corpus.tokens",
            self.message(*flags, "--set", "surrogate=calibrated", "--set", "corpus.tokens=201", model=gated, expect=3),
        )
        done = run("decompose", gated, "--minus", gated, "--out", self.folder / "m", "--set", "surrogate=calibrated")
        self.assertIn("with --minus", self.check(done, 2).stderr)
        # A bilinear model needs nothing in the place of its layers.
        write_llama(self.model)
        self.assertIsNone(self.decompose(*flags, "--set", "surrogate=calibrated")["results"][0]["surrogate"])

    def test_bad_input(self):
        write_llama(self.model)
        self.assertIn("--data text:stories.txt.gz", self.message(*self.flags))
        self.assertFalse(self.out.exists())  # before anything is solved
        self.assertIn(
            "no model that reads text",
            self.check(
                run("decompose", self.model, "--minus", self.model, "--out", self.folder / "m", *self.flags), 2
            ).stderr,
        )
        self.assertIn(
            "corpus.loss_tokens",
            self.message(*self.flags, "--data", f"tokens:{self.text}", "--set", "corpus.loss_tokens=1"),
        )
        self.assertIn("nowhere.bin", self.message(*self.flags, "--data", "tokens:nowhere.bin", expect=3))
        self.text.write_bytes(np.full(100, 60000, "<u2").tobytes())
        self.assertIn("60000", self.message(*self.flags, "--data", f"tokens:{self.text}", expect=3))
        named = {"gate": "model.layers.2.mlp.gate_proj.weight", "up": "model.layers.2.mlp.up_proj.weight"}
        done = run(
            "decompose",
            self.model,
            "--out",
            self.folder / "n",
            *self.flags,
            "--data",
            f"tokens:{self.text}",
            "--set",
            "weights=" + json.dumps(named),
        )
        self.assertIn("not known", self.check(done, 2).stderr)
        write_classifier(self.folder / "images")
        self.message(*self.flags, "--data", f"tokens:{self.text}", model=self.folder / "images", expect=3)


if __name__ == "__main__":
    unittest.main()
