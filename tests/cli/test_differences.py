"""`bilens decompose --minus`: what changed between two layers, held against numpy; nothing where nothing changed."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run

D, H, M = 16, 24, 8
METHODS = ("eigen", "hosvd", "sparse_eigen", "rotate", "joint", "cp")


class Differences(TestCase):
    def setUp(self):
        super().setUp()
        self.rng = np.random.default_rng(3)
        self.a = [self.rng.standard_normal(shape).astype("f") for shape in ((H, D), (H, D), (M, H))]

    def save(self, name, weights):
        names = ("mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight")
        save_file(
            {key: np.ascontiguousarray(weight) for key, weight in zip(names, weights)},
            self.folder / f"{name}.safetensors",
        )

    def reordered(self):
        order = self.rng.permutation(H)
        gate, up, down = self.a
        return [gate[order], up[order], down[:, order]]

    def minus(self, a, b, name, *settings):
        """(tensors, entry, stdout) of a − b"""
        self.save("a", a), self.save("b", b)
        sets = [part for text in ("threads=1", *settings) for part in ("--set", text)]
        done = run(
            "decompose",
            self.folder / "a.safetensors",
            "--minus",
            self.folder / "b.safetensors",
            "--gate",
            "none",
            "--out",
            self.folder / name,
            *sets,
        )
        self.check(done, 0)
        entry = json.loads((self.folder / name / "decomposition.json").read_text())["layers"][0]
        return load_file(self.folder / name / "layer_0.safetensors"), entry, done.stdout

    def test_equal_layers_did_not_change_whatever_the_method(self):
        for other, b in (("same", self.a), ("reordered", self.reordered())):
            for method in METHODS:
                with self.subTest(method=method, other=other):
                    name = f"{other}-{method}"
                    layer, entry, text = self.minus(self.a, b, name, f"method={method}", "k=2", "cp.rank=2")
                    self.assertIn("no change (nothing above ", text)
                    self.assertNotIn("100.0%", text)
                    self.assertNotIn("nan", text)
                    if method in ("eigen", "rotate"):
                        self.assertEqual((entry["unchanged"], entry["converged"]), (M, 0))
                        self.assertFalse(layer["eigenvalues"].any())
                        self.assertTrue(np.isnan(layer["weight_energy"]).all())
                    if method != "eigen":
                        self.assertTrue(entry["figures"]["unchanged"])
                        self.assertIn("no change", entry["words"])
                    page = self.folder / f"{name}.html"
                    self.check(run("report", self.folder / name, "--out", page), 0)

    def test_certificates_of_equal_layers_claim_no_more_than_rounding_allows(self):
        for solver in ("dense", "lanczos"):
            for dtype in ("float32", "float64"):
                layer, entry, text = self.minus(
                    self.a,
                    self.reordered(),
                    f"{solver}-{dtype}",
                    "k=2",
                    f"dtype={dtype}",
                    f"solver={solver}",
                    "certify=true",
                    "energy=exact",
                )
                self.assertEqual(entry["unchanged"], M)
                self.assertTrue((layer["certified_bound"] >= layer["floor"]).all())

    def test_small_changes_are_as_exact_as_large_ones(self):
        """Old float32 results for changes of 1e-6 were off by a quarter."""
        for size in (1e-2, 1e-6):
            b = [(w + size * self.rng.standard_normal(w.shape)).astype("f") for w in self.a]

            def tensor(weights):
                gate, up, down = (w.astype(np.longdouble) for w in weights)
                t = np.einsum("mh,hi,hj->mij", down, gate, up)
                return (t + t.transpose(0, 2, 1)) / 2

            right = (tensor(self.a) - tensor(b)).astype(float)
            layer, entry, _ = self.minus(self.a, b, f"change-{size}", "k=all", "solver=dense")
            self.assertEqual((entry["unchanged"], entry["converged"]), (0, M))
            x = layer["eigenvectors"].astype(float)
            rebuilt = np.einsum("nk,nki,nkj->nij", layer["eigenvalues"], x, x)
            self.assertLess(np.linalg.norm(rebuilt - right) / np.linalg.norm(right), 1e-6)

    def test_a_changed_direction_is_found_among_those_that_did_not_change(self):
        b = self.reordered()
        b[2] = b[2].copy()
        b[2][5] *= 2  # where every unit stands elsewhere
        layer, entry, text = self.minus(self.a, b, "one", "k=2")
        self.assertEqual((entry["unchanged"], entry["converged"]), (M - 1, 1))
        self.assertIn("1 converged, no change in 7", text)
        self.assertEqual(np.flatnonzero(layer["eigenvalues"].any(1)).tolist(), [5])
        _, entry, text = self.minus(self.a, b, "sparse", "method=sparse_eigen", "k=1")
        self.assertEqual(entry["figures"]["unchanged"], M - 1)
        self.assertIn("no change in 7 of 8 directions", text)

    def test_a_layer_that_is_its_trace_alone_is_rounding_without_it(self):
        """Q = cI in a basis that rounds: what `traceless` leaves is no spectrum, and no change either."""
        basis = np.linalg.qr(self.rng.standard_normal((D, D)))[0]
        self.save("sphere", [basis, basis, self.rng.standard_normal((3, 1)) * np.ones((3, D))])
        for method in ("eigen", "joint"):
            done = run(
                "decompose",
                self.folder / "sphere.safetensors",
                "--gate",
                "none",
                "--out",
                self.folder / method,
                "--set",
                "traceless=true",
                "--set",
                f"method={method}",
                "--set",
                "k=2",
                "--set",
                "dtype=float64",
                "--set",
                "threads=1",
            )
            self.check(done, 0)
            self.assertIn("nothing but rounding (nothing above ", done.stdout)


if __name__ == "__main__":
    unittest.main()
