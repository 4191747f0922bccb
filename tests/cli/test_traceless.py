"""`"traceless": true`: what is decomposed is Q - (tr Q/d) I, against numpy."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run
from classifiers import write_model

D, H, M = 12, 20, 5


class Traceless(TestCase):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(7)
        w, v, p = rng.standard_normal((H, D)), rng.standard_normal((H, D)), rng.standard_normal((M, H))
        v += 0.7 * w  # so that the traces are large
        prefix = "model.layers.0.mlp."
        save_file(
            {prefix + "gate_proj.weight": w, prefix + "up_proj.weight": v, prefix + "down_proj.weight": p},
            self.folder / "mlp.safetensors",
        )
        q = np.einsum("mh,hi,hj->mij", p, w, v)
        self.q = (q + q.transpose(0, 2, 1)) / 2
        self.shift = np.trace(self.q, axis1=1, axis2=2) / D

    def decompose(self, *flags, model="mlp.safetensors", code=0, out="out"):
        known = () if model == "classifier" else ("--gate", "none")
        return self.check(
            run(
                "decompose",
                self.folder / model,
                *known,
                "--out",
                self.folder / out,
                "--set",
                "traceless=true",
                "--set",
                'dtype="float64"',
                *flags,
            ),
            code,
        )

    def test_its_eigenpairs_are_those_of_the_shifted_matrices(self):
        norms = np.linalg.norm(self.q, axis=(1, 2))
        self.assertGreater((self.shift**2 * D / norms**2).max(), 0.2)  # else the test could not fail
        shifted = self.q - self.shift[:, None, None] * np.eye(D)
        values = np.linalg.eigvalsh(shifted)
        values = np.take_along_axis(values, np.argsort(-np.abs(values), 1)[:, :4], 1)
        for solver in ("dense", "lanczos"):
            self.decompose(
                "--set",
                f'solver="{solver}"',
                "--set",
                "k=4",
                "--set",
                "certify=true",
                "--set",
                'energy="exact"',
                out=solver,
            )
            found = load_file(self.folder / solver / "layer_0.safetensors")
            scale = np.abs(values).max()
            self.assertLess(np.abs(found["shift"] - self.shift).max(), 1e-13 * scale)
            self.assertLess(np.abs(found["trace"]).max(), 1e-12 * scale)
            self.assertLess(np.abs(found["eigenvalues"] - values).max(), 1e-11 * scale, solver)
            self.assertLess(np.abs(found["frobenius"] - np.linalg.norm(shifted, axis=(1, 2))).max(), 1e-12 * scale)
            self.assertTrue((found["certified_bound"] <= np.abs(values[:, 3]) * (1 + 1e-6)).all())
            x = found["eigenvectors"]  # of Q too, with the trace put back
            back = (found["eigenvalues"] + found["shift"][:, None])[:, :, None]
            self.assertLess(np.abs(np.einsum("mij,mkj->mki", self.q, x) - back * x).max(), 1e-9 * scale)

    def test_a_factorisation_is_of_the_same_matrices(self):
        self.decompose("--set", 'method="hosvd"', "--set", "k=all")
        found = load_file(self.folder / "out/layer_0.safetensors")
        shifted = (self.q - self.shift[:, None, None] * np.eye(D)).reshape(M, -1)
        expected = np.linalg.svd(shifted, compute_uv=False)
        self.assertLess(
            np.abs(found["hosvd_output_singular_values"] - expected).max(), 1e-7 * expected[0]
        )  # by a Gram matrix
        self.assertLess(np.abs(found["shift"] - self.shift).max(), 1e-12)

    def test_every_other_method_is_of_the_same_matrices(self):
        shifted = self.q - self.shift[:, None, None] * np.eye(D)
        for method, vectors, values, settings in (
            ("sparse_eigen", "sparse_vectors", "sparse_values", ("sparse_eigen.sparsity=[3]",)),
            ("rotate", "rotated_vectors", "rotated_values", ()),
            ("joint", "joint_vectors", "joint_values", ()),
        ):
            with self.subTest(method):
                sets = [part for text in (f"method={method}", "k=4", *settings) for part in ("--set", text)]
                self.decompose(*sets, out=method)
                found = load_file(self.folder / method / "layer_0.safetensors")
                x, listed = found[vectors].reshape(-1, 4, D), found[values].reshape(M, 4)
                x = np.broadcast_to(x, (M, 4, D))  # a joint basis is one for all
                forms = lambda q: np.einsum("mij,mki,mkj->mk", q, x, x)
                scale = np.abs(shifted).max()
                self.assertLess(np.abs(listed - forms(shifted)).max(), 1e-12 * scale)
                self.assertGreater(np.abs(listed - forms(self.q)).max(), 0.1 * scale)  # else the test could not fail

    def test_terms_of_a_cp_are_of_the_same_matrices(self):
        shifted = self.q - self.shift[:, None, None] * np.eye(D)
        settings = ("method=cp", "cp.rank=6", "cp.starts=1", "cp.max_iterations=40")
        self.decompose(*(part for text in settings for part in ("--set", text)))
        found = load_file(self.folder / "out/layer_0.safetensors")
        figures = json.loads((self.folder / "out/decomposition.json").read_text())["layers"][0]["figures"]
        forms = np.einsum("nr,ri,rj->nij", found["cp_outputs"], found["cp_left"], found["cp_right"])
        rebuilt = (forms + forms.transpose(0, 2, 1)) / 2
        energy = lambda q: 1 - ((q - rebuilt) ** 2).sum() / (q**2).sum()
        self.assertAlmostEqual(figures["energy"], energy(shifted), delta=1e-9)
        self.assertGreater(abs(figures["energy"] - energy(self.q)), 0.01)

    def test_inputs_without_a_norm_are_refused(self):
        write_model(self.folder / "classifier")
        done = self.decompose(model="classifier", code=2)
        self.assertIn("an image classifier", done.stderr)


if __name__ == "__main__":
    unittest.main()
