"""bilens.compare on layers in memory, against numpy in float64; on paths it is the command."""

import pathlib
import tempfile
import unittest

import numpy as np
import torch

from classifiers import write_model
from python_package import bilens, layer, reference


def three(seed=0, **sizes):
    gate, matrices = layer(seed=seed, **sizes)
    return gate, matrices["up"], matrices["down"]


def cosines(a, b):
    """[n, n] of the interaction matrices."""
    flat = [np.stack([q.ravel() / np.linalg.norm(q) for q in reference(*matrices)]) for matrices in (a, b)]
    return flat[0] @ flat[1].T


class Layers(unittest.TestCase):
    def test_weights_against_numpy(self):
        a, b = three(0), three(1)
        found = bilens.compare(a, b)
        self.assertEqual(len(found), 1)
        self.assertEqual(found[0]["models"], ["models[0]", "models[1]"])
        expected, likeness = cosines(a, b), found[0]["weights"]
        np.testing.assert_allclose(likeness["per_class"], expected.diagonal(), atol=1e-6)
        np.testing.assert_allclose(likeness["same_class"], expected.diagonal().mean(), atol=1e-6)
        others = expected[~np.eye(5, dtype=bool)]
        np.testing.assert_allclose(likeness["other_class"], others.mean(), atol=1e-6)
        wrong = np.where(np.eye(5, dtype=bool), -2, expected).max(1).mean()
        np.testing.assert_allclose(likeness["best_wrong_class"], wrong, atol=1e-6)
        self.assertIsNone(found[0]["data"])
        self.assertIsNone(found[0]["outputs"])

    def test_outputs_and_data_against_numpy(self):
        a, b = three(0, dtype=torch.float64), three(1, dtype=torch.float64)
        x = torch.randn(200, 12, dtype=torch.float64) @ torch.randn(12, 12, dtype=torch.float64) + 0.5
        found = bilens.compare(a, b, data=x)[0]
        y = [((x @ gate.T) * (x @ up.T) @ down.T).numpy() for gate, up, down in (a, b)]
        expected = [np.corrcoef(y[0][:, u], y[1][:, u])[0, 1] for u in range(5)]
        np.testing.assert_allclose(found["outputs"]["per_class"], expected, atol=1e-9)
        mean, covariance = x.mean(0).numpy(), np.cov(x.numpy().T, bias=True)

        def covariances(p, q):
            slope = [2 * form @ mean for form in (p, q)]
            return 2 * np.trace(p @ covariance @ q @ covariance) + slope[0] @ covariance @ slope[1]

        for u, (p, q) in enumerate(zip(reference(*a), reference(*b))):
            expected = covariances(p, q) / np.sqrt(covariances(p, p) * covariances(q, q))
            self.assertAlmostEqual(found["data"]["per_class"][u], expected, delta=0.01)

    def test_the_same_layer_in_every_form(self):
        mlp = bilens.nn.BilinearMLP(12, 20)
        matrices = tuple(part.weight.detach() for part in (mlp.gate_proj, mlp.up_proj, mlp.down_proj))
        swapped = bilens.BilinearLayer(matrices[1].T, matrices[0].T, matrices[2].T, name="swapped")
        found = bilens.compare(mlp, matrices, swapped, [matrix.numpy() for matrix in matrices])
        self.assertEqual(len(found), 6)
        for pair in found:
            for figure in ("weights", "eigenvectors"):
                self.assertAlmostEqual(pair[figure]["same_class"], 1, delta=1e-6)
                self.assertLess(pair[figure]["untrained"], 0.9)
        self.assertEqual(found[1]["models"], ["models[0]", "swapped"])

    def test_torchs_random_numbers_go_on(self):
        torch.manual_seed(5)
        expected = torch.randn(3)
        torch.manual_seed(5)
        bilens.compare(three(0), three(1))
        self.assertTrue(torch.equal(torch.randn(3), expected))

    def refuse(self, kind, words, *models, **arguments):
        with self.assertRaisesRegex(kind, words):
            bilens.compare(*models, **arguments)

    def test_refused(self):
        one = three()
        self.refuse(bilens.UsageError, "at least two models", one)
        self.refuse(
            bilens.InputError, r"models\[1\]: expected 12 inputs and 5 outputs.*found 12 and 6", one, three(d_out=6)
        )
        self.refuse(bilens.UsageError, "a layer in memory, as the others", one, "runs/a/model")
        self.refuse(bilens.UsageError, "found int", one, 3)
        self.refuse(bilens.InputError, "finite", one, (one[0] * float("nan"), *one[1:]))
        self.refuse(bilens.UsageError, r"inputs \[N, 12\]", one, one, data=torch.ones(3, 11))
        self.refuse(bilens.UsageError, r"inputs \[N, 12\]", one, one, data="mnist-5k")
        self.refuse(bilens.UsageError, "device", one, one, device="cpu")
        gated = bilens.BilinearLayer(one[0].T, one[1].T, one[2].T, activation="silu")
        self.refuse(bilens.InputError, "bilinear layer.*'silu'", one, gated)
        stack = torch.nn.Sequential(bilens.nn.BilinearMLP(12, 20), bilens.nn.BilinearMLP(12, 20))
        self.refuse(bilens.InputError, "2 MLPs.*spaces of their own", stack, stack)
        inner = torch.nn.Sequential(torch.nn.Linear(12, 12), bilens.nn.BilinearMLP(12, 20))
        self.refuse(bilens.InputError, "among other parameters", inner, inner)


class Classifiers(unittest.TestCase):
    def test_a_classifier_folded_by_hand_is_the_command(self):
        with tempfile.TemporaryDirectory(prefix="bilens-compare-") as folder:
            folder = pathlib.Path(folder)
            folded = []
            for seed in (0, 1):
                _, w = write_model(folder / str(seed), seed=seed)
                head, embed = w["head.weight"], w["embed.weight"]
                gate, up = (w[f"layers.0.mlp.{name}_proj.weight"] @ embed for name in ("gate", "up"))
                folded.append((gate, up, head - head.mean(0)))
            torch.manual_seed(5)
            drawn = torch.randn(3)
            torch.manual_seed(5)
            expected = bilens.compare(folder / "0", folder / "1")[0]
            self.assertTrue(torch.equal(torch.randn(3), drawn))
            found = bilens.compare(*folded)[0]
            for figure in ("weights", "eigenvectors"):
                for key in ("same_class", "other_class", "best_wrong_class", "per_class"):
                    np.testing.assert_allclose(found[figure][key], expected[figure][key], atol=1e-9, err_msg=key)
            with self.assertRaisesRegex(bilens.UsageError, "beside paths"):
                bilens.compare(folder / "0", folder / "1", data=torch.ones(3, 784))


if __name__ == "__main__":
    unittest.main()
