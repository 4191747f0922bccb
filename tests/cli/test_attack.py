"""bilens attack: the smallest changes beside numpy's, files, words, and what is refused."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file

from bilens_cli import TestCase, run
from classifiers import test_labels, test_pixels, write_model

FEW = ["--set", "images=30", "--set", "masks.strengths=[0.2]", "--set", "masks.eigenvectors=1", "--threads", "2"]
BOUNDED, NOT_BOUNDED = ["--set", "bounded_images=10"], ["--set", "bounded_images=0"]


def logits_of(weights, x):
    """Of images [n, 784] in float64, by the definition."""
    h = x @ weights["embed.weight"].T
    y = (h @ weights["layers.0.mlp.gate_proj.weight"].T + weights.get("layers.0.mlp.gate_proj.bias", 0)) * (
        h @ weights["layers.0.mlp.up_proj.weight"].T + weights.get("layers.0.mlp.up_proj.bias", 0)
    )
    return y @ weights["head.weight"].T


def form(weights, of, to):
    """Q, l and c of the difference of two logits over the pixels."""
    u = weights["head.weight"][of] - weights["head.weight"][to]
    w, v = (weights[f"layers.0.mlp.{name}.weight"] @ weights["embed.weight"] for name in ("gate_proj", "up_proj"))
    b, c = (weights.get(f"layers.0.mlp.{name}.bias", np.zeros(len(u))) for name in ("gate_proj", "up_proj"))
    q = w.T @ (u[:, None] * v)
    return (q + q.T) / 2, w.T @ (u * c) + v.T @ (u * b), u @ (b * c)


def dual_bound(q, linear, constant, x):
    """The best of the dual's values on a fine grid of multipliers: another way than Newton's."""
    values, vectors = np.linalg.eigh(q)
    g, b = x @ q @ x + linear @ x + constant, (q @ x + linear / 2) @ vectors
    last = -1 / values[0]
    nu = last * (1 - np.geomspace(1e-9, 1, 20001)[:-1])
    dual = nu * g - nu**2 * np.array([(b**2 / (1 + n * values)).sum() for n in nu])
    return np.sqrt(dual.max())


class Attack(TestCase):
    def make(self, **options):
        model = self.folder / f"model-{len(list(self.folder.iterdir()))}"
        write_model(model, **options)
        return model, {name: t.astype(np.float64) for name, t in load_file(model / "model.safetensors").items()}

    def attack(self, model, *more):
        """@param more flags, which stand behind those of FEW and so replace them"""
        out = self.folder / "attack"
        done = run("attack", model, "--data", "mnist-5k", "--out", out, *FEW, *more)
        self.check(done, 0)
        return done, json.loads((out / "attack.json").read_text()), load_file(out / "attack.safetensors")

    def test_lengths_are_numpys_and_the_model_changes_its_class_there(self):
        model, weights = self.make(bias=True, seed=1)
        _, record, found = self.attack(model, *NOT_BOUNDED)
        x = test_pixels()[:30] / 255.0
        logits = logits_of(weights, x)
        np.testing.assert_array_equal(found["prediction"], logits.argmax(1))
        self.assertEqual(record["data"]["examples"], 30)
        self.assertAlmostEqual(record["evaluation"]["accuracy"], (logits.argmax(1) == test_labels()[:30]).mean())
        for n in range(0, 30, 10):
            y = found["prediction"][n]
            bounds = [dual_bound(*form(weights, y, j), x[n]) for j in range(10) if j != y]
            self.assertAlmostEqual(found["lower"][n], min(bounds), delta=2e-6 * min(bounds))
        self.assertTrue((found["lower"] <= found["upper"]).all())
        self.assertTrue((found["upper"] - found["lower"] < 1e-7 * found["upper"]).all())
        for place, change in zip(found["shown"], found["changes"]):
            moved = logits_of(weights, x[place : place + 1] + change.reshape(1, -1) * (1 + 1e-5))
            self.assertEqual(moved.argmax(), found["other"][place])

    def test_an_attack_by_gradients_and_the_bounded_changes_are_no_shorter(self):
        model, _ = self.make(seed=2)
        done, record, found = self.attack(model, *BOUNDED)
        self.assertEqual(record["gradient"]["below_bound"], 0)
        self.assertTrue((found["gradient_length"] >= found["lower"]).all())
        self.assertTrue((found["bounded_lower"] >= found["lower"][:10] * (1 - 1e-12)).all())
        self.assertTrue((found["bounded_upper"] >= found["bounded_lower"]).all())
        curve = record["curve"]
        self.assertTrue(all(low <= high for low, high in zip(curve["lower"], curve["upper"])))
        right = found["labels"] == found["prediction"]
        for length, share in zip(curve["length"], curve["lower"]):
            self.assertAlmostEqual(share, (right & (found["lower"] > length)).mean())
        self.assertIn("robust accuracy", done.stdout)

    def test_lengths_are_in_pixels_whatever_the_inputs_units(self):
        plain, weights = self.make(seed=3)
        _, _, found = self.attack(plain, *BOUNDED)
        scaled, _ = self.make(seed=3)
        # The same function of the pixels: inputs that are four times as large, and a quarter of the embedding.
        from safetensors.numpy import save_file

        changed = {name: t.astype(np.float32) for name, t in weights.items()}
        changed["embed.weight"] = changed["embed.weight"] / 4
        save_file(changed, scaled / "model.safetensors")
        config = json.loads((scaled / "config.json").read_text())
        (scaled / "config.json").write_text(json.dumps({**config, "pixel_std": 0.25}))
        _, _, same = self.attack(scaled, *BOUNDED)
        np.testing.assert_allclose(same["lower"], found["lower"], rtol=1e-9)
        np.testing.assert_allclose(same["bounded_lower"], found["bounded_lower"], rtol=1e-5)

    def test_masks_do_what_numpy_says(self):
        model, weights = self.make(seed=4)
        _, record, found = self.attack(model, *NOT_BOUNDED, "--set", "images=1000")
        by_kind = {mask["kind"]: mask for mask in record["masks"]}
        self.assertEqual(set(by_kind), {"eigenvector", "random", "edge", "random edge"})
        x, labels = test_pixels() / 255.0, test_labels()
        right, wrong, images = 0, 0, 0
        for c, mask in enumerate(found["masks"]):
            self.assertAlmostEqual(float(np.linalg.norm(mask)), 1, places=5)
            moved = logits_of(weights, x + 0.2 * 28 * mask.reshape(1, -1)).argmax(1)
            others = labels != c
            right += (moved == labels)[others].sum()
            wrong += (moved == c)[others].sum()
            images += others.sum()
        # Two logits that are equal to float32's rounding may be told apart either way.
        self.assertAlmostEqual(by_kind["eigenvector"]["accuracy"], right / images, delta=2e-4)
        self.assertAlmostEqual(by_kind["eigenvector"]["misclassified"], wrong / images, delta=2e-4)

    def test_a_mask_moves_one_eigenvectors_projection(self):
        model, weights = self.make(seed=5)
        _, _, found = self.attack(model, *NOT_BOUNDED)
        centred = dict(weights)
        centred["head.weight"] = weights["head.weight"] - weights["head.weight"].mean(0)
        zero = {**centred, "head.weight": np.vstack([centred["head.weight"], np.zeros((1, 48))])}
        tops = np.stack([np.linalg.eigh(form(zero, c, 10)[0])[1][:, -1] for c in range(10)])
        products = np.abs(found["masks"].reshape(10, -1) @ tops.T)
        np.testing.assert_allclose(products - np.diag(np.diag(products)), 0, atol=1e-5)
        self.assertTrue((np.diag(products) > 1e-3).all())

    def test_what_it_does_not_take_is_refused(self):
        deep, _ = self.make(n_layers=2)
        one, _ = self.make()
        for model, more, words in (
            (deep, ["--data", "mnist-5k"], "one bilinear layer"),
            (one, [], "no --data"),
            (one, ["--data", "mnist-5k", "--set", "masks.strengths=[0]"], "masks.strengths"),
            (one, ["--data", "mnist-5k", "--set", "images=-1"], "images"),
            (one, ["--data", "text:README.md"], "text"),
        ):
            done = run("attack", model, *more)
            self.assertIn(done.returncode, (2, 3), done.stderr)
            self.assertIn(words, done.stderr)

    def test_a_dry_run_writes_nothing(self):
        model, _ = self.make()
        done = run("attack", model, "--data", "mnist-5k", "--out", self.folder / "none", "--dry-run", "--json")
        self.check(done, 0)
        self.assertFalse((self.folder / "none").exists())
        self.assertGreater(json.loads(done.stdout)["estimate"]["memory_bytes"], 0)


if __name__ == "__main__":
    unittest.main()
