"""Proof from the saved files alone: with k = all, numpy rebuilds the logits of real images from a decomposition.

Relative difference to the model's own weights evaluated in float64: at most 1e-4 in float32, 1e-10 in float64.
"""

import itertools
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np
from safetensors.numpy import load_file

from classifiers import digits, hidden_states, write_model

BILENS = os.environ.get("BILENS", "build/bilens")
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


def rebuild(tensors, inputs):
    """Σ λ (v·x)² + l·x + c from the saved tensors: [N, n]."""
    values, vectors = tensors["eigenvalues"], tensors["eigenvectors"].astype(np.float64)
    form = np.stack([((inputs @ v.T) ** 2) @ lam for lam, v in zip(values, vectors)], 1)
    if "linear" in tensors:
        form += inputs @ tensors["linear"].T + tensors["constant"]
    return form


class Proof(unittest.TestCase):
    def decompose(self, model, out, **settings):
        command = [BILENS, "decompose", model, "--out", out, "--quiet", "--set", "analyses=[]"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        info = json.loads((out / "decomposition.json").read_text())
        return info, [load_file(out / layer["file"]) for layer in info["layers"]]

    def test_logits_from_files(self):
        x = digits(100)
        variants = itertools.product(
            ("float32", "float64"),
            ("input", "model"),
            (
                dict(),
                dict(bias=True),
                dict(residual=True, bias=True, down_proj=True, d_hidden=64),
                dict(n_layers=2, residual=True),
                dict(n_layers=3, d_model=24, d_hidden=24),
            ),
        )
        for dtype, space, shape in variants:
            with self.subTest(dtype=dtype, space=space, **shape), tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                config, weights = write_model(folder / "model", **shape)
                info, layers = self.decompose(
                    folder / "model", folder / "out", k="all", dtype=dtype, center="none", input_space=space
                )
                states = hidden_states(config, weights, x)
                last = config["n_layers"] - 1
                inputs = x if info["layers"][last]["input_space"] == "input" else states[last]
                self.assertEqual(info["layers"][last]["input_space"] == "input", space == "input" and last == 0)
                logits = states[-1] @ weights["head.weight"].T
                error = np.linalg.norm(rebuild(layers[last], inputs) - logits) / np.linalg.norm(logits)
                self.assertLessEqual(error, TOLERANCE[dtype])

    def test_first_layer_axes_of_a_deep_model(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            config, weights = write_model(folder / "model", n_layers=2, d_model=20, d_hidden=20)
            info, layers = self.decompose(folder / "model", folder / "out", k="all", dtype="float64")
            self.assertNotIn("directions", layers[0])  # every output axis: the identity
            states = hidden_states(config, weights, digits(50))
            error = np.linalg.norm(rebuild(layers[0], digits(50)) - states[1]) / np.linalg.norm(states[1])
            self.assertLessEqual(error, TOLERANCE["float64"])

    def test_input_space_is_true(self):
        """Unit, orthogonal eigenvectors of the matrix over the pixels itself, with its eigenvalues."""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            _, w = write_model(folder / "model")
            _, (layer,) = self.decompose(folder / "model", folder / "out", k=12, dtype="float64")
            head = w["head.weight"] - w["head.weight"].mean(0)
            left, right = (w[f"layers.0.mlp.{name}_proj.weight"] @ w["embed.weight"] for name in ("gate", "up"))
            for u, values, vectors in zip(head, layer["eigenvalues"], layer["eigenvectors"]):
                q = left.T @ (u[:, None] * right)
                q = (q + q.T) / 2
                expected = np.linalg.eigvalsh(q)
                expected = expected[np.argsort(-abs(expected))][:12]
                np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12 * abs(expected[0]))
                np.testing.assert_allclose(vectors @ vectors.T, np.eye(12), atol=1e-12)
                np.testing.assert_allclose(q @ vectors.T, vectors.T * values, atol=1e-10 * abs(expected[0]))
                self.assertTrue((vectors[range(12), abs(vectors).argmax(1)] > 0).all())

    def test_facts_beside_the_eigenpairs(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            _, w = write_model(folder / "model", d_model=16, d_hidden=16)
            info, (layer,) = self.decompose(
                folder / "model", folder / "out", k="all", dtype="float64", input_space="model"
            )
            head = w["head.weight"] - w["head.weight"].mean(0)
            left, right = (w[f"layers.0.mlp.{name}_proj.weight"] for name in ("gate", "up"))
            for i, u in enumerate(head):
                q = left.T @ (u[:, None] * right)
                q = (q + q.T) / 2
                spectrum = np.linalg.eigvalsh(q)
                self.assertAlmostEqual(layer["trace"][i], np.trace(q), delta=1e-13)
                self.assertAlmostEqual(layer["frobenius"][i] / np.linalg.norm(q), 1, delta=1e-13)
                self.assertAlmostEqual(layer["weight_energy"][i][-1], 1, delta=1e-12)
                self.assertAlmostEqual(
                    info["layers"][0]["effective_rank"][i], abs(spectrum).sum() ** 2 / (spectrum**2).sum(), delta=1e-9
                )
            self.assertEqual(info["layers"][0]["converged"], 10)
            self.assertTrue((layer["tie_at_k"] == 0).all())


if __name__ == "__main__":
    unittest.main()
