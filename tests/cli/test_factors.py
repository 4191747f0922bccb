"""`bilens decompose` with the methods beside "eigen", held against numpy and planted answers."""

# labels: slow

import json
import signal
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run, start, stop, wait_for
from classifiers import logits, test_labels, test_pixels, write_model


def symmetric(q):
    return (q + q.transpose(0, 2, 1)) / 2


def orthonormal(rng, count, d):
    return np.ascontiguousarray(
        np.linalg.qr(rng.standard_normal((d, count)))[0].T
    )  # save_file takes the bytes as they lie


class Factors(TestCase):
    def decompose(self, source, method, *settings, expect=0):
        """(the layer's tensors, its entry, the result)"""
        known = () if (self.folder / source).is_dir() else ("gate=none",)
        sets = [part for text in (f"method={method}", *known, *settings) for part in ("--set", text)]
        done = run("decompose", self.folder / source, "--out", self.folder / method, "--json", *sets)
        self.check(done, expect)
        if expect:
            return done
        entry = json.loads((self.folder / method / "decomposition.json").read_text())["layers"][0]
        self.assertEqual(entry["method"], method)
        return load_file(self.folder / method / "layer_0.safetensors"), entry, self.document(done)["results"][0]

    def write_layer(self, w, v, p):
        save_file(
            {
                "mlp.gate_proj.weight": w.astype(np.float32),
                "mlp.up_proj.weight": v.astype(np.float32),
                "mlp.down_proj.weight": p.astype(np.float32),
            },
            self.folder / "layer.safetensors",
        )
        stored = [a.astype(np.float32).astype(float) for a in (w, v, p)]
        return symmetric(np.einsum("mh,hi,hj->mij", stored[2], stored[0], stored[1], optimize=True))

    def random_layer(self, d=23, h=31, m=7, seed=0):
        rng = np.random.default_rng(seed)
        return self.write_layer(rng.standard_normal((h, d)), rng.standard_normal((h, d)), rng.standard_normal((m, h)))

    def test_hosvd_is_the_svd_of_the_flattened_tensor(self):
        b = self.random_layer()
        layer, entry, result = self.decompose("layer.safetensors", "hosvd", "k=all", "dtype=float64")
        for mode, flat in (("output", b.reshape(7, -1)), ("input", b.transpose(1, 0, 2).reshape(23, -1))):
            u, sigma, _ = np.linalg.svd(flat, full_matrices=False)
            found = layer[f"hosvd_{mode}_singular_values"]
            # Out of a Gram matrix: absolute errors of eps σ₁² in σ².
            np.testing.assert_allclose(found**2 / sigma[0] ** 2, sigma**2 / sigma[0] ** 2, atol=1e-13)
            np.testing.assert_allclose(abs(np.sum(layer[f"hosvd_{mode}_vectors"] * u.T, 1)), 1, atol=1e-6)
            self.assertAlmostEqual(layer[f"hosvd_{mode}_energy"][-1], 1, delta=1e-12)
        self.assertIn("100.0% of the energy", result["layers"][0]["words"])
        self.assertAlmostEqual(entry["figures"]["squared_norm"] / (b**2).sum(), 1, delta=1e-12)

    def test_a_finished_layer_is_kept(self):
        rng = np.random.default_rng(5)
        sizes = {0: (20, 24, 5), 1: (48, 120, 30)}  # d, h, m: the second takes seconds
        save_file(
            {
                f"layers.{layer}.mlp.{name}.weight": rng.standard_normal(shape).astype(np.float32)
                for layer, (d, h, m) in sizes.items()
                for name, shape in (("gate_proj", (h, d)), ("up_proj", (h, d)), ("down_proj", (m, h)))
            },
            self.folder / "two.safetensors",
        )
        command = [
            "decompose",
            self.folder / "two.safetensors",
            "--out",
            self.folder / "out",
            "--gate",
            "none",
            "--set",
            "method=cp",
            "--set",
            "cp.rank=6",
            "--set",
            "threads=1",
        ]
        process = start(*command)
        wait_for((self.folder / "out/layer_0.progress.json").exists, process=process)
        stop(process, signal.SIGKILL)
        self.assertFalse((self.folder / "out/layer_1.safetensors").exists())
        kept = (self.folder / "out/layer_0.safetensors").stat().st_mtime_ns
        self.check(run(*command, "--set", "cp.rank=7", "--resume"), 2, "layer_0.progress.json", "of another")
        resumed = self.check(run(*command, "--resume"), 0)
        self.assertIn("layer 0 is finished", resumed.stderr)
        self.assertEqual((self.folder / "out/layer_0.safetensors").stat().st_mtime_ns, kept)
        entries = json.loads((self.folder / "out/decomposition.json").read_text())["layers"]
        self.check(run(*command[:3], self.folder / "whole", *command[4:]), 0)
        whole = json.loads((self.folder / "whole/decomposition.json").read_text())["layers"]
        for one, other in zip(entries, whole):
            self.assertEqual(one["figures"], other["figures"])
            self.assertEqual(one["words"], other["words"])

    def test_hosvd_keeps_the_energy_asked_for(self):
        b = self.random_layer()
        layer, entry, _ = self.decompose("layer.safetensors", "hosvd", "k=all", "hosvd.energy=0.5")
        sigma = np.linalg.svd(b.reshape(7, -1), compute_uv=False)
        enough = int(np.argmax(np.cumsum(sigma**2) / (b**2).sum() >= 0.5)) + 1
        self.assertEqual(len(layer["hosvd_output_vectors"]), enough)
        self.assertEqual(entry["figures"]["output"]["kept"], enough)
        x = layer["hosvd_input_vectors"].astype(float)
        projected = np.einsum("ai,bj,mij->mab", x, x, b)
        lost, discarded = (b**2).sum() - (projected**2).sum(), entry["figures"]["input"]["discarded"]
        self.assertTrue(discarded * (1 - 1e-6) <= lost <= 2 * discarded * (1 + 1e-6), "the bound of the input mode")

    def test_directions_along_the_outputs_singular_vectors(self):
        b = self.random_layer()
        sets = ["--set", 'directions={"kind": "hosvd", "count": 2}', "--set", "k=3", "--set", "dtype=float64"]
        self.check(
            run("decompose", self.folder / "layer.safetensors", "--gate", "none", "--out", self.folder / "out", *sets),
            0,
        )
        layer = load_file(self.folder / "out/layer_0.safetensors")
        u, sigma, right = np.linalg.svd(b.reshape(7, -1), full_matrices=False)
        np.testing.assert_allclose(abs(np.sum(layer["directions"] * u.T[:2], 1)), 1, atol=1e-7)
        for found, s, q in zip(layer["eigenvalues"], sigma, right.reshape(-1, 23, 23)):
            true = np.linalg.eigvalsh(s * q)
            np.testing.assert_allclose(np.sort(abs(found)), np.sort(abs(true))[-3:], rtol=1e-6)

    def test_planted_sparse_eigenvectors_are_found(self):
        """Vectors of disjoint supports of 4 entries each: Q_0 = Σ λ x xᵀ, seen through W = V."""
        rng = np.random.default_rng(1)
        x = np.zeros((5, 40))
        for i in range(5):
            x[i, 4 * i : 4 * i + 4] = rng.standard_normal(4)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        values = np.array([[5.0, -4, 3, -2, 1], [1, 2, -3, 4, -5]])
        self.write_layer(x, x, values)
        layer, entry, _ = self.decompose("layer.safetensors", "sparse_eigen", "k=5", "sparse_eigen.sparsity=[2,4]")
        self.assertEqual(entry["figures"]["sparsity"], [2, 4])
        self.assertEqual(layer["sparse_vectors"].shape, (2, 2, 5, 40))
        self.assertTrue((np.count_nonzero(layer["sparse_vectors"], axis=3) <= np.array([2, 4])[:, None, None]).all())
        np.testing.assert_allclose(layer["sparse_values"][1], [[5, -4, 3, -2, 1], [-5, 4, -3, 2, 1]], atol=1e-5)
        np.testing.assert_allclose(layer["sparse_diagonal_energy"][1, :, -1], 1, atol=1e-6)
        self.assertLess(layer["sparse_diagonal_energy"][0, :, -1].max(), 0.999)  # two entries are too few

    def test_a_rotated_basis_spans_the_eigenspace(self):
        """Sparse vectors with one eigenvalue twice each sign: any basis is an eigenbasis, the sparse one is found."""
        x = np.zeros((3, 30))
        for i in range(3):
            x[i, 5 * i : 5 * i + 5] = np.random.default_rng(i).standard_normal(5)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        self.write_layer(x, x, np.array([[2.0, 2, 2]]))
        layer, entry, _ = self.decompose("layer.safetensors", "rotate", "k=3")
        self.assertEqual(entry["k"], 3)
        cosines = abs(layer["rotated_vectors"][0].astype(float) @ x.T)
        np.testing.assert_allclose(np.sort(cosines.max(1)), 1, atol=1e-5)
        np.testing.assert_allclose(
            layer["rotated_rotation"][0] @ layer["eigenvectors"][0], layer["rotated_vectors"][0], atol=1e-6
        )
        self.assertGreater(layer["rotated_objective"][0], layer["rotated_start_objective"][0] - 1e-12)

    def test_a_jointly_diagonalisable_layer_is_diagonalised(self):
        rng = np.random.default_rng(2)
        basis, values = orthonormal(rng, 12, 12), rng.standard_normal((6, 12))
        b = self.write_layer(basis, basis, values)
        layer, entry, _ = self.decompose("layer.safetensors", "joint", "k=all", "dtype=float64")
        self.assertTrue(entry["figures"]["converged"])
        self.assertLess(entry["figures"]["off_diagonal"], 1e-9)
        rebuilt = np.einsum("nr,ri,rj->nij", layer["joint_values"], layer["joint_vectors"], layer["joint_vectors"])
        self.assertLess(np.linalg.norm(rebuilt - b) / np.linalg.norm(b), 1e-5)

    def test_a_planted_cp_is_found(self):
        rng = np.random.default_rng(3)
        left, right, outputs = rng.standard_normal((4, 15)), rng.standard_normal((4, 15)), rng.standard_normal((6, 4))
        b = self.write_layer(left, right, outputs)
        layer, entry, result = self.decompose("layer.safetensors", "cp", "cp.rank=4", "dtype=float64")
        self.assertTrue(entry["figures"]["converged"])
        rebuilt = symmetric(np.einsum("nr,ri,rj->nij", layer["cp_outputs"], layer["cp_left"], layer["cp_right"]))
        self.assertLess(np.linalg.norm(rebuilt - b) / np.linalg.norm(b), 1e-6)
        self.assertIn("4 terms of condition", result["layers"][0]["words"])

    def test_the_classifier_rebuilt_from_factors_is_evaluated(self):
        config, w = write_model(self.folder / "model", d_model=16, d_hidden=16, bias=True)
        for method, settings in (
            ("cp", ("cp.rank=24", "cp.starts=1", "cp.max_iterations=30")),
            ("joint", ("k=24", "joint.starts=1")),
        ):
            with self.subTest(method=method):
                layer, entry, _ = self.decompose(
                    "model", method, *settings, 'data={"dataset": "mnist-5k", "path": "data/mnist-5k"}'
                )
                study = json.loads((self.folder / method / "study.json").read_text())
                self.assertEqual(study["truncation"], [])
                (rebuilt,) = study["reconstruction"]
                x = test_pixels() / 255.0
                if method == "cp":
                    forms = ((x @ layer["cp_left"].T) * (x @ layer["cp_right"].T)) @ layer["cp_outputs"].T
                else:
                    forms = (x @ layer["joint_vectors"].T) ** 2 @ layer["joint_values"].T
                forms = forms + x @ layer["linear"].T + layer["constant"]
                true = logits(config, w, x)
                true -= true.mean(1, keepdims=True)
                self.assertAlmostEqual(rebuilt["accuracy"], (forms.argmax(1) == test_labels()).mean(), delta=2e-3)
                self.assertAlmostEqual(
                    rebuilt["relative_error"] / (np.linalg.norm(forms - true) / np.linalg.norm(true)), 1, delta=1e-5
                )
                np.testing.assert_allclose(
                    rebuilt["data_r2"], 1 - ((forms - true) ** 2).sum(0) / true.var(0) / len(x), rtol=1e-5, atol=1e-6
                )

    def test_bad_options_are_refused(self):
        self.random_layer()
        for setting, words in (
            ("method=svd", "one of"),
            ("cp.rank=0", "at least 1"),
            ("cp.rnak=3", "rank"),
            ("sparse_eigen.sparsity=[]", "not empty"),
            ("hosvd.energy=1.5", "at most 1"),
            ("hosvd.energy=0", "more than 0"),
        ):
            done = run("decompose", self.folder / "layer.safetensors", "--out", self.folder / "no", "--set", setting)
            self.check(done, 2, setting.split("=")[0].split(".")[-1][:3], words)
            self.assertFalse((self.folder / "no").exists())

    def test_the_page_shows_the_factors(self):
        self.random_layer()
        for method, settings in (
            ("hosvd", ()),
            ("sparse_eigen", ("k=2",)),
            ("rotate", ("k=3",)),
            ("joint", ("k=3",)),
            ("cp", ("cp.rank=3",)),
        ):
            self.decompose("layer.safetensors", method, *settings)
            page = self.folder / f"{method}.html"
            self.check(run("report", self.folder / method, "--out", page), 0)
            text = page.read_text()
            data = json.loads(text.split('id="data">')[1].split("</script>")[0])
            (layer,) = data["models"][0]["decomposition"]["layers"]
            items = [item for group in layer["factors"]["groups"] for item in group["items"]]
            self.assertGreaterEqual(len(items), 2)
            self.assertTrue(all(item["pictures"] or item["weights"] for item in items))


if __name__ == "__main__":
    unittest.main()
