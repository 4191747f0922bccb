"""`"weighting": "data"`: spectra as inputs vary, against numpy in float64."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file

from bilens_cli import run, write_idx_folder
from classifiers import logits, read_idx, test_pixels, write_model
from decompositions import EXACT, DecompositionTest
from language_models import forward, interaction_matrix, unembedding, write_llama

MNIST = "data/mnist-5k"
CONTEXT = 16


def moments(x):
    return x.mean(0), np.cov(x.T, bias=True)


def root_of(covariance):
    values, vectors = np.linalg.eigh(covariance)
    values = np.where(values > 1e-10 * values[-1], values, 0)
    return (vectors * np.sqrt(values)) @ vectors.T, int((values > 0).sum())


def leading(matrix, k):
    values = np.linalg.eigvalsh(matrix)
    return values[np.argsort(-abs(values))][:k]


def r_squared(found, u, x, t, k):
    """R² of the linear part with the first 0 ... k terms, of what the file holds."""
    tensor = lambda name: found[f"weighted_{name}"].astype(np.float64)
    xi = x - tensor("mean")
    left = t - tensor("centre")[u] - xi @ tensor("slope")[u]
    terms = ((xi @ tensor("readings")[u].T) ** 2 - 1) * tensor("values")[u]
    sums = np.concatenate([np.zeros((len(x), 1)), terms.cumsum(1)], 1)[:, : k + 1]
    return 1 - ((left[:, None] - sums) ** 2).sum(0) / ((t - t.mean()) ** 2).sum()


class Weighting(DecompositionTest):
    def weigh(self, *flags, **options):
        return self.decompose("--set", "weighting=data", *flags, **options)

    def figures(self, place=0):
        return self.description()["layers"][place]["figures"]

    def test_a_classifier_on_digits(self):
        config, w = write_model(self.folder / "digits", d_model=12, d_hidden=12, bias=True)
        found = self.weigh(
            *("--data", "mnist-5k", "--set", "dtype=float64", "--set", "k=4", "--set", "certify=true"),
            model=self.folder / "digits",
        )
        x = read_idx(f"{MNIST}/train-images-idx3-ubyte.gz", 16).reshape(-1, 784) / 255.0
        mean, covariance = moments(x)
        root, rank = root_of(covariance)
        self.assertLess(rank, 784)  # pixels that are always 0: else the cut is not tried
        figures, tensors = self.figures(), self.layer()
        self.assertEqual((figures["dimensions"], figures["weights"]["inputs"]), (rank, 4000))
        self.assertEqual(figures["measured"], {"part": "test images", "inputs": 1000, "documents": None})
        self.assertLess(figures["cut"], 1e-8)
        self.assertEqual((figures["fixed_length"], figures["certified"]), (False, 10))
        np.testing.assert_allclose(tensors["weighted_mean"], mean, atol=1e-14)
        head = w["head.weight"] - w["head.weight"].mean(0)
        gate, up = (w[f"layers.0.mlp.{name}.weight"] @ w["embed.weight"] for name in ("gate_proj", "up_proj"))
        bias = lambda name: w[f"layers.0.mlp.{name}.bias"]
        t = logits(config, w, test_pixels() / 255.0)
        t -= t.mean(1, keepdims=True)
        for u in (0, 7):
            q = gate.T @ np.diag(head[u]) @ up
            q = (q + q.T) / 2
            s = root @ q @ root
            expected = leading(s, 4)
            np.testing.assert_allclose(tensors["weighted_values"][u], expected, atol=1e-11 * abs(expected[0]))
            np.testing.assert_allclose(tensors["weighted_shares"][u], expected**2 / (s**2).sum(), rtol=1e-9)
            linear = gate.T @ (head[u] * bias("up_proj")) + up.T @ (head[u] * bias("gate_proj"))
            slope = 2 * q @ mean + linear
            np.testing.assert_allclose(tensors["weighted_slope"][u], slope, atol=1e-12 * abs(slope).max())
            variances = 2 * (s**2).sum(), slope @ covariance @ slope
            for name, value in zip(("quadratic_variance", "linear_variance"), variances):
                self.assertAlmostEqual(tensors[f"weighted_{name}"][u] / value, 1, delta=1e-9)
            # Readings and patterns are dual: r·Σr' is 1 or 0, and a pattern is Σr.
            r, patterns = tensors["weighted_readings"][u], tensors["weighted_patterns"][u]
            np.testing.assert_allclose(r @ covariance @ r.T, np.eye(4), atol=1e-9)
            np.testing.assert_allclose(r @ covariance, patterns, atol=1e-9 * abs(patterns).max())
            measured = r_squared(tensors, u, test_pixels() / 255.0, t[:, u], 4)
            np.testing.assert_allclose(tensors["weighted_r2"][u], measured, atol=1e-9)
            self.assertAlmostEqual(tensors["weighted_variance"][u] / t[:, u].var(), 1, delta=1e-9)
        words = found["results"][0]["layers"][0]["words"]
        self.assertIn(f"over {rank} dimensions in which 4000 inputs vary", words)
        self.assertIn("1000 inputs (test images)", words)

    def test_all_terms_rebuild_an_inner_layer_of_a_residual_model(self):
        """Directions that do not vary have no part in the outputs of the images that are there."""
        write_model(self.folder / "deep", n_layers=2, residual=True, down_proj=True, d_model=9, d_hidden=14)
        self.weigh(*EXACT, "--data", "mnist-5k", model=self.folder / "deep")
        # Test images have pixels that no training image has; what the first layer makes of them varies in all axes.
        for number, lost in ((0, 1e-3), (1, 1e-9)):
            r2 = self.layer(number)["weighted_r2"]
            self.assertGreater(r2[:, -1].min(), 1 - lost)
            self.assertLess(r2[:, 0].max(), 0.999)

    def write_tokens(self, count=700, vocabulary=40):
        self.text = self.folder / "tokens.bin"
        ids = np.random.default_rng(0).integers(2, vocabulary, count)
        ids[::25] = 1
        ids.astype("<u2").tofile(self.text)
        data = {"dataset": "tokens", "path": str(self.text), "context": CONTEXT, "packing": "plain"}
        data["document_token"] = 1
        return ids, ("--set", "data=" + json.dumps(data), "--set", "corpus.tokens=320", "--set", "analyses=[]")

    def inputs(self, w, ids, layer):
        parts = [ids[at : at + CONTEXT] for at in range(0, len(ids), CONTEXT)]
        passes = [forward(w, part[:-1])[1][layer] for part in parts if len(part) > 1]
        return np.concatenate([x for _, x, _ in passes]), np.concatenate([y for _, _, y in passes])

    def test_a_language_model_behind_norms(self):
        w = write_llama(self.model)
        ids, text = self.write_tokens()
        directions = {"kind": "unembedding", "tokens": [5, 9]}
        self.weigh("--set", "dtype=float64", "--set", "k=5", *text, directions=directions)
        figures, tensors = self.figures(1), self.layer(1)
        self.assertEqual(figures["weights"], {"part": "tokens 320 to 639", "inputs": 300, "documents": 14})
        self.assertEqual(figures["measured"], {"part": "tokens 0 to 319", "inputs": 300, "documents": 13})
        self.assertEqual((figures["dimensions"], figures["fixed_length"]), (16, True))
        x, _ = self.inputs(w, ids[320:640], 1)
        mean, covariance = moments(x)
        root, _ = root_of(covariance)
        held_out, y = self.inputs(w, ids[:320], 1)
        for place, token in enumerate((5, 9)):
            u = unembedding(w)[token]
            q = interaction_matrix(w, 1, u)
            numerator = np.trace(q @ covariance @ covariance) + 2 * mean @ q @ covariance @ mean
            shift = -numerator / (np.trace(covariance @ covariance) + 2 * mean @ covariance @ mean)
            s = root @ (q + shift * np.eye(16)) @ root
            # The model computes in float32: 1e-7 of activations of 1, and as much again a layer.
            self.assertAlmostEqual(tensors["weighted_shift"][place] / shift, 1, delta=1e-5)
            expected = leading(s, 5)
            np.testing.assert_allclose(tensors["weighted_values"][place], expected, atol=1e-5 * abs(expected[0]))
            measured = r_squared(tensors, place, held_out, y @ u, 5)
            np.testing.assert_allclose(tensors["weighted_r2"][place], measured, atol=1e-5)
        # On inputs of one length all terms are the layer.
        self.weigh(*EXACT[:4], *text, directions=directions)
        self.assertGreater(self.layer(1)["weighted_r2"][:, -1].min(), 1 - 1e-4)  # of rms with an epsilon

    def test_without_the_norm_there_is_no_shift(self):
        write_llama(self.model)
        _, text = self.write_tokens()
        self.weigh("--set", "k=3", *text, "--set", "fold_norm=false")
        self.assertFalse(self.figures()["fixed_length"])
        self.assertEqual(abs(self.layer()["weighted_shift"]).max(), 0)

    def test_one_document_and_a_text_that_says_one_thing(self):
        write_llama(self.model)
        _, text = self.write_tokens()
        ids = np.random.default_rng(0).integers(2, 40, 700)
        ids.astype("<u2").tofile(self.text)
        self.weigh("--set", "k=2", *text)
        self.assertEqual(self.figures()["weights"]["documents"], 1)
        np.full(700, 7).astype("<u2").tofile(self.text)  # attention to one token is that token
        self.assertIn("vary", self.message("--set", "weighting=data", *text, expect=3))
        flags = ("--set", "weighting=data", *text, "--set", "corpus.tokens=400")
        self.assertIn("lower corpus.tokens", self.message(*flags, expect=3))

    def test_fewer_images_than_pixels(self):
        write_model(self.folder / "digits", d_model=6, d_hidden=6)
        data = write_idx_folder(self.folder / "few", images=10, height=28, width=28)
        self.weigh("--set", "k=all", "--data", f"mnist:{data}", model=self.folder / "digits")
        self.assertLessEqual(self.figures()["dimensions"], 9)
        self.assertEqual(self.layer()["weighted_values"].shape, (10, self.figures()["dimensions"]))

    def test_what_makes_no_sense_is_refused(self):
        write_llama(self.model)
        _, text = self.write_tokens()
        weigh = ("--set", "weighting=data", *text)
        above = {"kind": "eigenvectors", "layer": 1, "direction": 0, "indices": [0]}
        for key, flags in {
            "traceless": ("--set", "traceless=true"),
            "method": ("--set", "method=cp"),
            "directions": ("--set", "directions=" + json.dumps(above)),
            "energy": ("--set", "energy=off"),
            "analyses": ("--set", 'analyses=["corpus"]'),
        }.items():
            with self.subTest(key):
                self.assertIn(key, self.message(*weigh, *flags))
        done = run("decompose", self.model, "--minus", self.model, "--out", self.folder / "m", *weigh)
        self.assertIn("weighting", self.check(done, 2).stderr)
        write_model(self.folder / "digits")
        self.assertIn("mnist-5k", self.message("--set", "weighting=data", model=self.folder / "digits"))
        self.assertIn("--data", self.message("--set", "weighting=data"))

    def test_what_is_finished_is_known_and_costs_are_said(self):
        write_model(self.folder / "digits", d_model=6, d_hidden=6)
        flags = ("--data", "mnist-5k", "--set", "weighting=data", "--set", "k=2")
        done = run("decompose", self.folder / "digits", "--dry-run", "--json", *flags)
        self.check(done, 0)
        self.decompose(*flags, model=self.folder / "digits")
        again = run("decompose", self.folder / "digits", "--out", self.out, "--resume", "--json", *flags)
        self.assertTrue(self.document(self.check(again, 0))["results"][0]["skipped"])
        before = load_file(self.out / "layer_0.safetensors")
        (self.out / "decomposition.json").unlink()  # as where a run was ended
        self.check(run("decompose", self.folder / "digits", "--out", self.out, "--resume", *flags), 0)
        for name, tensor in self.layer().items():
            np.testing.assert_array_equal(tensor, before[name])


if __name__ == "__main__":
    unittest.main()
