"""Layers whose matrices are not formed: solvers, certificate, streaming and resuming, as a user calls them."""

import json
import random
import signal
import time
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

import bilens_cli
from bilens_cli import TestCase, files_below, run, start, stop, wait_for

RECORDS = ("layer_0.progress.json", "layer_0.safetensors.part")


class Engine(TestCase):
    def write_layer(self, n=6, d=45, h=70, seed=0):
        """A layer and directions under names of their own; the matrices in float64."""
        rng = np.random.default_rng(seed)
        w, v = (rng.standard_normal((h, d)).astype(np.float32) for _ in range(2))
        s = rng.standard_normal((n, h)).astype(np.float32)
        save_file({"mlp.gate_proj.weight": w, "mlp.up_proj.weight": v}, self.folder / "layer.safetensors")
        save_file({"s": s}, self.folder / "directions.safetensors")
        q = np.einsum("nh,hi,hj->nij", *(a.astype(float) for a in (s, w, v)), optimize=True) if d < 100 else None
        return None if q is None else (q + q.transpose(0, 2, 1)) / 2

    def command(self, *settings, flags=()):
        directions = {"kind": "file", "path": str(self.folder / "directions.safetensors"), "tensor": "s"}
        sets = [
            part
            for text in (f"directions={json.dumps(directions)}", "gate=none", "weights.down=identity", *settings)
            for part in ("--set", text)
        ]
        return ("decompose", self.folder / "layer.safetensors", "--out", self.folder / "out", *sets, *flags)

    def solve(self, *settings, flags=()):
        result = self.check(run(*self.command(*settings, flags=("--json", *flags))), 0)
        layer = load_file(self.folder / "out/layer_0.safetensors")
        entry = json.loads((self.folder / "out/decomposition.json").read_text())["layers"][0]
        for file in (self.folder / "out").iterdir():
            self.assertNotIn(file.name, RECORDS, "left behind")
            file.unlink()
        return layer, entry, self.document(result)


class Solvers(Engine):
    def test_every_solver_finds_what_numpy_finds(self):
        q = self.write_layer()
        spectrum = np.linalg.eigvalsh(q)
        true = np.take_along_axis(spectrum, np.argsort(-abs(spectrum), 1), 1)[:, :5]
        norm = abs(true[:, 0])
        for solver in ("dense", "lanczos", "formed"):
            for dtype, tolerance in (("float32", 5e-6), ("float64", 1e-10)):
                with self.subTest(solver=solver, dtype=dtype):
                    layer, entry, _ = self.solve("k=5", f"solver={solver}", f"dtype={dtype}")
                    self.assertEqual((entry["solver"], entry["converged"]), (solver, 6))
                    # Rayleigh quotients are off by the square of the residual, over the gap.
                    np.testing.assert_allclose(
                        layer["eigenvalues"] / norm[:, None],
                        true / norm[:, None],
                        atol=1e-7 if dtype == "float32" else 1e-13,
                    )
                    x = layer["eigenvectors"].astype(float)
                    qx = np.einsum("nij,nkj->nki", q, x)
                    residuals = np.linalg.norm(qx - layer["eigenvalues"][:, :, None] * x, axis=2) / norm[:, None]
                    self.assertLess(residuals.max(), tolerance)
                    self.assertTrue(
                        (residuals <= layer["residuals"] * (1 + 1e-6) + 1e-15).all(), "a residual is larger than stated"
                    )
                    np.testing.assert_allclose(
                        layer["trace"], np.trace(q, axis1=1, axis2=2), rtol=1e-10, atol=1e-10 * norm.max()
                    )

    def test_dense_spectra_reach_a_tolerance_that_float32_solvers_miss(self):
        q = self.write_layer()
        layer, entry, _ = self.solve('k="all"', "solver=dense", "tolerance=3e-7")
        self.assertEqual(entry["converged"], 6)
        x = layer["eigenvectors"].astype(float)
        residuals = np.linalg.norm(np.einsum("nij,nkj->nki", q, x) - layer["eigenvalues"][:, :, None] * x, axis=2)
        self.assertLess((residuals / abs(layer["eigenvalues"]).max(1, keepdims=True)).max(), 3e-7)

    def test_energy_exact_and_off(self):
        q = self.write_layer()
        layer, _, _ = self.solve("k=3", "solver=lanczos", "energy=exact")
        np.testing.assert_allclose(layer["frobenius"], np.linalg.norm(q, axis=(1, 2)), rtol=1e-12)
        layer, _, _ = self.solve("k=3", "solver=dense", "energy=off")
        self.assertFalse({"frobenius", "weight_energy"} & set(layer))

    def test_the_certified_bound_is_true(self):
        q = self.write_layer()
        for solver in ("lanczos", "dense"):
            layer, entry, document = self.solve("k=4", f"solver={solver}", "certify=true")
            self.assertEqual((entry["certified"], document["results"][0]["layers"][0]["certified"]), (6, 6))
            sizes = np.sort(abs(np.linalg.eigvalsh(q)), 1)[:, ::-1]
            bound = layer["certified_bound"]
            self.assertTrue((sizes[:, 4] < bound).all(), "an eigenvalue that is not listed reaches the bound")
            self.assertTrue((bound <= sizes[:, 3]).all(), "the bound says nothing")

    def test_the_certificate_is_of_the_directions_as_stored(self):
        """Units of one entry: eigenvalues are the direction's own numbers, here two neighbours in float32."""
        one = np.eye(2, dtype=np.float32)
        save_file({"mlp.gate_proj.weight": one, "mlp.up_proj.weight": one}, self.folder / "layer.safetensors")
        save_file({"s": np.array([[1 + 9e-8, 1 + 7e-8]])}, self.folder / "directions.safetensors")
        for dtype in ("float32", "float64"):
            layer, _, _ = self.solve("k=1", "certify=true", f"dtype={dtype}", "energy=exact")
            (u,) = layer["directions"].astype(float)
            self.assertEqual(layer["eigenvalues"][0, 0], max(u))
            self.assertGreater(layer["certified_bound"][0], min(u))
            self.assertAlmostEqual(layer["frobenius"][0] / np.linalg.norm(u), 1, delta=1e-15)
            self.assertAlmostEqual(layer["trace"][0], u.sum(), delta=1e-15)

    def test_directions_that_the_dtype_does_not_hold_are_refused(self):
        self.write_layer(n=2)
        s = np.random.default_rng(1).standard_normal((2, 70))
        for size in (1e-50, 1e50):
            save_file({"s": s * [[1], [size]]}, self.folder / "directions.safetensors")
            failed = run(*self.command("k=2"))
            self.check(failed, 3, "direction 1", "float64")
            self.solve("k=2", "dtype=float64")

    def test_the_effective_rank_is_estimated_with_its_error(self):
        q = self.write_layer(n=12, d=90, h=120)
        spectrum = np.linalg.eigvalsh(q)
        true = abs(spectrum).sum(1) ** 2 / (spectrum**2).sum(1)
        layer, _, _ = self.solve("k=3", "solver=lanczos", "effective_rank=estimate")
        self.assertTrue((layer["effective_rank_error"] > 0).all())
        # All directions share their 8 probes, so the errors are not independent; 6 of them are rare for t with 7
        # degrees.
        self.assertLess((abs(layer["effective_rank"] - true) / layer["effective_rank_error"]).max(), 6)
        self.assertLess((abs(layer["effective_rank"] - true) / true).max(), 0.1)
        layer, _, _ = self.solve("k=3", "solver=dense", "effective_rank=estimate")
        self.assertEqual(abs(layer["effective_rank_error"]).max(), 0)
        np.testing.assert_allclose(layer["effective_rank"], true, rtol=1e-5)

    def test_low_rank_directions(self):
        """Few hidden units a direction: the automatic choice is the reduced problem."""
        self.write_layer(n=8, d=90, h=60)
        s = np.zeros((8, 60), np.float32)
        s[np.arange(8), np.arange(8)] = 1
        s[np.arange(8), np.arange(8) + 20] = -2
        save_file({"s": s}, self.folder / "directions.safetensors")
        layer, entry, _ = self.solve("k=6")
        self.assertEqual(entry["solver"], "low_rank")
        norm = abs(layer["eigenvalues"][:, :1])
        self.assertLess((abs(layer["eigenvalues"][:, 4:]) / norm).max(), 1e-12)  # a matrix of rank 4, in float64
        self.assertGreater(abs(layer["eigenvalues"][:, 3]).min(), 0)
        x = layer["eigenvectors"].astype(float)
        np.testing.assert_allclose(x @ x.transpose(0, 2, 1), np.broadcast_to(np.eye(6), (8, 6, 6)), atol=1e-6)

    def test_rate_and_choice_are_shown_when_asked(self):
        self.write_layer()
        done = self.check(
            run(*self.command("k=3", "solver=lanczos", flags=("--verbose",))), 0, "GFLOP/s", "lanczos:", "dense"
        )
        self.assertNotIn("did not", done.stderr)

    def test_dry_run_explains_the_choice(self):
        self.write_layer(n=64, d=512, h=1400)
        planned = self.check(run(*self.command("k=5", flags=("--dry-run",))), 0)
        self.assertRegex(
            planned.stdout, r"layer 0: lanczos: [\d.e-]+ TFLOP a direction \(.*dense [\d.e-]+.*\), 64 at a time, \d"
        )
        forced = self.check(run(*self.command("k=5", "solver=dense", flags=("--dry-run",))), 0)
        self.assertIn("layer 0: dense:", forced.stdout)
        seconds = self.document(run(*self.command("k=5", flags=("--dry-run", "--json"))))["estimate"]["seconds"]
        self.assertTrue(0 < seconds < 1000)
        self.assertFalse((self.folder / "out").exists())


class Streaming(Engine):
    """With a memory limit of a megabyte each direction is a chunk of its own."""

    settings = ("k=4", "solver=lanczos", "memory_limit=1048576", "threads=1")

    def test_kills_do_not_change_a_bit(self):
        self.write_layer(n=24, d=400, h=900)
        begin = time.monotonic()
        whole, _, _ = self.solve(*self.settings)
        seconds = time.monotonic() - begin
        chance, kills, directions = random.Random(3), 0, set()
        record = self.folder / "out/layer_0.progress.json"
        done = lambda: record.read_bytes() if record.exists() else None
        for _ in range(6):
            process = start(*self.command(*self.settings, flags=("--resume",)))
            before = done()
            wait_for(lambda: process.poll() is not None or done() != before)
            time.sleep(chance.uniform(0, 0.1) * seconds)
            code, stderr = stop(process, signal.SIGKILL)
            self.assertIn(code, (0, -signal.SIGKILL), stderr)
            kills += code != 0
            if record.exists():
                directions.add(json.loads(record.read_text())["directions"])
        self.assertGreater(kills, 0)
        self.assertTrue(directions - {0, 24}, "no kill fell between two chunks")
        resumed, entry, _ = self.solve(*self.settings, flags=("--resume",))
        self.assertEqual(entry["converged"], 24)
        self.assertEqual(set(whole), set(resumed))
        for name, tensor in whole.items():
            np.testing.assert_array_equal(tensor, resumed[name], name)

    def test_a_signal_stops_at_once_and_says_how_to_go_on(self):
        self.write_layer(n=200, d=400, h=900)
        process = start(*self.command(*self.settings))
        bilens_cli.wait_for((self.folder / "out/layer_0.progress.json").exists, process=process)
        code, stderr = stop(process, signal.SIGTERM)
        self.assertEqual(code, 75, stderr)
        self.assertIn("--resume", stderr)
        self.assertFalse((self.folder / "out/decomposition.json").exists())

    def test_another_config_is_refused(self):
        self.write_layer(n=200, d=400, h=900)
        process = start(*self.command(*self.settings))
        bilens_cli.wait_for((self.folder / "out/layer_0.progress.json").exists, process=process)
        stop(process, signal.SIGKILL)
        before = {name: files_below(self.folder / "out")[name] for name in RECORDS}
        self.check(
            run(*self.command("k=5", *self.settings[1:], flags=("--resume",))),
            2,
            "layer_0.progress.json",
            "of another",
            "--out",
        )
        after = files_below(self.folder / "out")
        self.assertTrue(all(after[name] == before[name] for name in RECORDS), "the earlier run's files were touched")

    def test_chunks_do_not_change_the_results(self):
        """Products of another width round otherwise, no more: 50 eps of the spectral norm."""
        self.write_layer(n=24, d=120, h=300)
        whole, _, _ = self.solve("k=4", "solver=lanczos")
        single, _, _ = self.solve(*self.settings[:3])
        norm = abs(whole["eigenvalues"][:, :1])
        np.testing.assert_allclose(whole["eigenvalues"] / norm, single["eigenvalues"] / norm, atol=50 * 6e-8)


if __name__ == "__main__":
    unittest.main()
