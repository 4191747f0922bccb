"""`bilens decompose`, `explain` and `compare` as a user calls them, held against numpy."""

import itertools
import json
import pathlib
import shutil
import tempfile
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

import bilens_cli
from classifiers import hidden_states, logits, test_labels, test_pixels, write_model
from language_models import write_llama


def run(*arguments, expect=0):
    """Runs with --json; the one document on stdout, after checking the exit code."""
    result = bilens_cli.run(*arguments, "--json")
    assert result.returncode == expect, f"exit {result.returncode}: {result.stderr}"
    return json.loads(result.stdout)


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.model, self.out = self.folder / "model", self.folder / "out"

    def decompose(self, *arguments, expect=0, model=None):
        return run("decompose", model or self.model, "--out", self.out, *arguments, expect=expect)

    def layer(self, number=0):
        return load_file(self.out / f"layer_{number}.safetensors")


class Studies(Command):
    def test_numbers_agree_with_numpy(self):
        config, w = write_model(self.model, d_model=32, d_hidden=32, bias=True)
        self.decompose("--data", "mnist-5k", "--set", "k=6")
        study = json.loads((self.out / "study.json").read_text())
        layer, x, labels = self.layer(), test_pixels() / 255.0, test_labels()
        true = logits(config, w, x)
        true -= true.mean(1, keepdims=True)
        self.assertAlmostEqual(study["evaluation"]["accuracy"], (true.argmax(1) == labels).mean())
        p = np.einsum("nd,ukd->nuk", x, layer["eigenvectors"].astype(float))
        terms = layer["eigenvalues"] * p**2
        linear = x @ layer["linear"].T + layer["constant"]
        (curve,) = study["truncation"]
        self.assertEqual(curve["k"], list(range(7)))
        for k, accuracy, loss in zip(curve["k"], curve["accuracy"], curve["loss"]):
            partial = terms[:, :, :k].sum(2) + linear
            self.assertAlmostEqual(accuracy, (partial.argmax(1) == labels).mean(), delta=1e-12)
            log_norm = np.log(np.exp(partial - partial.max(1, keepdims=True)).sum(1)) + partial.max(1)
            self.assertAlmostEqual(
                loss, (log_norm - partial[range(1000), labels]).mean(), delta=1e-7 * abs(loss)
            )  # inputs are float32
        (importance,) = study["layers"]
        np.testing.assert_allclose(importance["mean_contribution"], terms.mean(0), rtol=1e-9)
        np.testing.assert_allclose(importance["std_contribution"], terms.std(0), rtol=1e-9)
        error = true[:, :, None] - linear[:, :, None] - terms.cumsum(2)
        np.testing.assert_allclose(
            importance["data_r2"], 1 - (error**2).mean(0) / true.var(0)[:, None], rtol=1e-6, atol=1e-6
        )
        np.testing.assert_allclose(importance["linear_share"], linear.var(0) / true.var(0), rtol=1e-6)
        (exact,) = study["exactness"]
        self.assertAlmostEqual(
            exact["relative_error"] / (np.linalg.norm(error[:, :, -1]) / np.linalg.norm(true)), 1, delta=1e-5
        )

        shown = load_file(self.out / "study.safetensors")
        for sign, best in (("positive", p.max(0)), ("negative", p.min(0))):
            rows, values = shown[f"layer_0.examples.{sign}"], shown[f"layer_0.projections.{sign}"]
            np.testing.assert_allclose(values[:, :, 0], best, rtol=1e-9)
            again = np.einsum(
                "ukep,ukp->uke", shown["images"].reshape(-1, 784)[rows] / 255.0, layer["eigenvectors"].astype(float)
            )
            np.testing.assert_allclose(again, values, rtol=1e-6)

    def test_with_all_eigenvectors_nothing_is_lost(self):
        write_model(self.model, n_layers=2, residual=True, d_model=24, d_hidden=24)
        self.decompose("--data", "mnist-5k", "--set", "k=all", "--set", "dtype=float64")
        study = json.loads((self.out / "study.json").read_text())
        self.assertEqual([e["layer"] for e in study["exactness"]], [0, 1])
        for exact in study["exactness"]:
            self.assertLess(exact["relative_error"], 1e-10)
        self.assertEqual(study["truncation"][0]["accuracy"][-1], study["evaluation"]["accuracy"])

    def test_top_down(self):
        """Eigenvectors of layer 1 as output directions of layer 0: the composition is the deep model's own."""
        config, w = write_model(self.model, n_layers=2, d_model=16, d_hidden=16)
        self.decompose("--set", "analyses=[]", "--set", "dtype=float64", "--set", "layers=[1]", "--set", "k=3")
        above = self.layer(1)
        shutil.rmtree(self.out)
        self.decompose(
            "--set",
            "analyses=[]",
            "--set",
            "dtype=float64",
            "--set",
            "layers=[0]",
            "--set",
            "k=all",
            "--set",
            'directions={"kind": "eigenvectors", "layer": 1, "direction": 4, "indices": [0, 2]}',
        )
        below = self.layer(0)
        np.testing.assert_allclose(below["directions"], above["eigenvectors"][4][[0, 2]], atol=1e-12)
        x = test_pixels()[::50] / 255.0
        projections = hidden_states(config, w, x)[1] @ above["eigenvectors"][4][[0, 2]].T
        rebuilt = np.stack([((x @ v.T) ** 2) @ lam for lam, v in zip(below["eigenvalues"], below["eigenvectors"])], 1)
        np.testing.assert_allclose(rebuilt, projections, rtol=1e-9, atol=1e-9 * abs(projections).max())


class Explain(Command):
    def test_sum_is_the_logit(self):
        shapes = (
            dict(),
            dict(bias=True),
            dict(n_layers=3, residual=True, bias=True, down_proj=True, d_hidden=40),
            dict(n_layers=2),
        )
        for shape in shapes:
            with self.subTest(**shape):
                for folder in (self.model, self.folder / "why"):
                    shutil.rmtree(folder, ignore_errors=True)
                config, w = write_model(self.model, d_model=20, **{"d_hidden": 20, **shape})
                (result,) = run(
                    "explain", self.model, "--input", "test:123", "--data", "mnist-5k", "--out", self.folder / "why"
                )["results"]
                true = logits(config, w, test_pixels()[123:124] / 255.0)[0]
                self.assertEqual(result["prediction"], true.argmax())
                self.assertEqual(result["label"], test_labels()[123])
                for entry, value in zip(result["classes"], true):
                    self.assertLess(abs(entry["sum"] - value), 1e-4 * abs(true).max())
                    parts = (
                        entry["direct"]
                        + entry["linear"]
                        + entry["other_terms"]
                        + sum(t["contribution"] for t in entry["terms"])
                    )
                    self.assertAlmostEqual(parts, entry["sum"], delta=1e-9 * abs(true).max())
                    for term in entry["terms"]:
                        self.assertAlmostEqual(
                            term["contribution"],
                            term["eigenvalue"] * term["projection"] ** 2,
                            delta=1e-9 * abs(true).max(),
                        )
                saved = load_file(self.folder / "why" / "explanation.safetensors")
                np.testing.assert_array_equal(saved["image"].ravel(), test_pixels()[123])
                self.assertEqual("class_3.term_0" in saved, True)
        again = bilens_cli.run(
            "explain", self.model, "--input", "test:123", "--data", "mnist-5k", "--out", self.folder / "why"
        )
        self.assertEqual(again.returncode, 2)
        self.assertIn("an empty or new folder", again.stderr)

    def test_an_eigenvector_is_that_of_the_decomposition(self):
        for shape in (dict(bias=True), dict(n_layers=2, residual=True, down_proj=True)):
            for folder in (self.model, self.out, self.folder / "why"):
                shutil.rmtree(folder, ignore_errors=True)
            config, w = write_model(self.model, d_model=20, d_hidden=20, **shape)
            self.decompose("--set", "analyses=[]", "--set", "k=all", "--set", "dtype=float64")
            (result,) = run(
                "explain", self.model, "--input", "test:7", "--data", "mnist-5k", "--out", self.folder / "why"
            )["results"]
            self.assertEqual(result["center"], "mean")
            vectors = load_file(self.folder / "why" / "explanation.safetensors")
            for number, entry in enumerate(result["classes"]):
                for i, term in enumerate(entry["terms"][:3]):
                    layer = self.layer(term["layer"])
                    self.assertAlmostEqual(term["eigenvalue"], layer["eigenvalues"][number][term["index"]], delta=1e-12)
                    cosine = layer["eigenvectors"][number][term["index"]] @ vectors[f"class_{number}.term_{i}"]
                    self.assertAlmostEqual(abs(cosine), 1, delta=1e-6)
            true = logits(config, w, test_pixels()[7:8] / 255.0)[0]
            self.assertEqual({entry["shared"] for entry in result["classes"]}, {result["classes"][0]["shared"]})
            self.assertAlmostEqual(result["classes"][0]["shared"], true.mean(), delta=1e-9 * abs(true).max())
            for entry, value in zip(result["classes"], true):
                self.assertAlmostEqual(entry["sum"], value, delta=1e-9 * abs(true).max())

    def test_dry_run_has_seconds(self):
        write_model(self.model, d_model=16, d_hidden=16)
        estimate = run("explain", self.model, "--input", "test:0", "--data", "mnist-5k", "--dry-run")["estimate"]
        self.assertGreater(estimate["seconds"], 0)
        self.assertGreater(estimate["memory_bytes"], 0)

    def test_bad_input(self):
        write_model(self.model, d_model=8, d_hidden=8)
        for value, words in (
            ("test:1000", "below 1000"),
            ("test", "test:N"),
            ("test:-1", "test:N"),
            ("nowhere:0", "nothing there"),
        ):
            result = bilens_cli.run("explain", self.model, "--input", value, "--data", "mnist-5k")
            self.assertIn(result.returncode, (2, 3))
            self.assertIn(words, result.stderr)


class Compare(Command):
    def test_without_data_the_weights_are_compared(self):
        for name, seed in (("a", 0), ("b", 5)):
            write_model(self.folder / name, d_model=24, d_hidden=24, seed=seed)
        (with_data,) = run("compare", self.folder / "a", self.folder / "b", "--data", "mnist-5k")["results"]
        (without,) = run("compare", self.folder / "a", self.folder / "b")["results"]
        self.assertEqual((without["data"], without["outputs"]), (None, None))
        for part in ("weights", "eigenvectors"):
            self.assertEqual(without[part], with_data[part])
        text = bilens_cli.run("compare", self.folder / "a", self.folder / "b")
        self.assertEqual(text.returncode, 0)
        self.assertIn("Give --data", text.stdout)
        self.assertNotIn("outputs  ", text.stdout)

    def test_likeness_and_nulls(self):
        write_model(self.folder / "a", d_model=24, d_hidden=24)
        write_model(self.folder / "b", d_model=32, d_hidden=32, seed=5)
        shutil.copytree(self.folder / "a", self.folder / "c")
        results = run("compare", self.folder / "a", self.folder / "b", self.folder / "c", "--data", "mnist-5k")[
            "results"
        ]
        *results, over_all = results
        self.assertEqual(len(results), 3)
        self.assertEqual(over_all["models"], [str(self.folder / name) for name in "abc"])
        self.assertEqual((over_all["over"]["models"], over_all["over"]["pairs"]), (3, 3))
        likenesses = [result["weights"]["same_class"] for result in results]
        of_weights = over_all["over"]["weights"]
        self.assertAlmostEqual(of_weights["mean"], np.mean(likenesses), delta=1e-12)
        self.assertAlmostEqual(of_weights["sd"], np.std(likenesses, ddof=1), delta=1e-12)
        half = 4.302652729749464 * np.sqrt(2 / 3 * (np.subtract(likenesses, np.mean(likenesses)) ** 2).sum())
        self.assertAlmostEqual(of_weights["high"] - of_weights["mean"], half, delta=1e-9)  # t.ppf(.975, 2)
        same = next(r for r in results if r["models"] == [str(self.folder / "a"), str(self.folder / "c")])
        for figure in ("weights", "data", "outputs", "eigenvectors"):
            self.assertAlmostEqual(same[figure]["same_class"], 1, delta=1e-9)
            self.assertLess(same[figure]["best_wrong_class"], 0.999)
            different = results[0][figure]
            self.assertLess(different["same_class"], 0.5 if figure != "outputs" else 0.9)

    def test_eigenvectors_are_matched_one_to_one_beside_other_classes(self):
        sizes, top, found = {"a": 24, "b": 32}, 5, {}
        for name, size in sizes.items():
            config, w = write_model(self.folder / name, d_model=size, d_hidden=size, seed=size)
            run(
                "decompose",
                self.folder / name,
                "--out",
                self.folder / f"out-{name}",
                *("--set", f"k={top}", "--set", "dtype=float64", "--set", "analyses=[]"),
            )
            outputs = logits(config, w, test_pixels() / 255.0)
            outputs -= outputs.mean(1, keepdims=True)
            found[name] = load_file(self.folder / f"out-{name}/layer_0.safetensors")["eigenvectors"], outputs
        (result,) = run("compare", self.folder / "a", self.folder / "b", "--data", "mnist-5k")["results"]

        def matched(x, y):
            cosines = abs(x @ y.T)
            return max(cosines[range(top), order].mean() for order in itertools.permutations(range(top)))

        def correlation(x, y):
            return np.corrcoef(x, y)[0, 1]

        for figure, likeness, rows, delta in (
            ("eigenvectors", matched, [x for x, _ in found.values()], 1e-9),
            ("outputs", correlation, [y.T for _, y in found.values()], 1e-5),  # logits of float32
        ):
            table = np.array([[likeness(x, y) for y in rows[1]] for x in rows[0]])
            n, same = len(table), np.eye(len(table), dtype=bool)
            self.assertAlmostEqual(result[figure]["same_class"], table[same].mean(), delta=delta)
            self.assertAlmostEqual(result[figure]["other_class"], table[~same].mean(), delta=delta)
            wrong = np.where(same, -2, table).max(1).mean()
            self.assertAlmostEqual(result[figure]["best_wrong_class"], wrong, delta=delta)
            self.assertGreater(n, 1)
        # Taking the largest of each row, one vector of the other model several times, would say more.
        x, y = (vectors for vectors, _ in found.values())
        greedy = np.mean([abs(a @ b.T).max(1).mean() for a, b in zip(x, y)])
        self.assertGreater(greedy, result["eigenvectors"]["same_class"] + 1e-3)

    def test_an_unknown_device_is_refused(self):
        for name in ("a", "b"):
            write_model(self.folder / name, d_model=8, d_hidden=8)
        result = bilens_cli.run(
            "compare", self.folder / "a", self.folder / "b", "--data", "mnist-5k", "--device", "tpu"
        )
        self.assertEqual(result.returncode, 2)
        self.assertIn("tpu", result.stderr)

    def test_images_of_another_size_are_refused_by_every_command(self):
        for name in ("a", "b"):
            write_model(self.folder / name, d_model=8, d_hidden=8)
        data = ("--data", f"mnist:{bilens_cli.write_idx_folder(self.folder / 'data')}")
        for command in (
            ("evaluate", self.folder / "a"),
            ("compare", self.folder / "a", self.folder / "b"),
            ("explain", self.folder / "a", "--input", "test:0"),
            ("decompose", self.folder / "a", "--out", self.folder / "out"),
        ):
            result = bilens_cli.run(*command, *data)
            self.assertEqual(result.returncode, 3, result.stderr)
            self.assertIn("784 pixels", result.stderr)

    def test_deep_models_are_refused(self):
        write_model(self.folder / "a", n_layers=2, d_model=8, d_hidden=8)
        write_model(self.folder / "b", n_layers=2, d_model=8, d_hidden=8)
        result = bilens_cli.run("compare", self.folder / "a", self.folder / "b", "--data", "mnist-5k")
        self.assertEqual(result.returncode, 3)
        self.assertIn("one bilinear layer", result.stderr)


class Sources(Command):
    def test_any_safetensors_file(self):
        rng = np.random.default_rng(0)
        w, v, p = (rng.standard_normal(shape).astype(np.float32) for shape in ((12, 7), (12, 7), (5, 12)))
        names = dict(
            zip(
                (
                    "model.layers.3.mlp.gate_proj.weight",
                    "model.layers.3.mlp.up_proj.weight",
                    "model.layers.3.mlp.down_proj.weight",
                ),
                (w, v, p),
            )
        )
        save_file(names, self.folder / "model.safetensors")
        packed = {"blocks.0.weight": np.concatenate([w, v]), "out": np.ascontiguousarray(p.T)}
        save_file(packed, self.folder / "packed.safetensors")
        self.decompose(
            "--set", "k=all", "--set", "dtype=float64", "--gate", "none", model=self.folder / "model.safetensors"
        )
        found = self.layer(3)
        shutil.rmtree(self.out)
        self.decompose(
            "--set",
            "k=all",
            "--set",
            "dtype=float64",
            "--set",
            "weights.gate=blocks.0.weight[0:12]",
            "--set",
            "weights.up=blocks.0.weight[12:24]",
            "--set",
            "weights.down=out.T",
            "--gate",
            "none",
            model=self.folder / "packed.safetensors",
        )
        np.testing.assert_array_equal(self.layer(0)["eigenvalues"], found["eigenvalues"])
        q = np.einsum("mh,hi,hj->mij", p.astype(float), w.astype(float), v.astype(float))
        q = (q + q.transpose(0, 2, 1)) / 2
        spectrum = np.linalg.eigvalsh(q)
        order = np.argsort(-abs(spectrum), 1)
        np.testing.assert_allclose(found["eigenvalues"], np.take_along_axis(spectrum, order, 1), atol=1e-12)

    def test_directions(self):
        _, w = write_model(self.model, d_model=12, d_hidden=12)
        save_file({"mine": np.eye(12, dtype=np.float32)[:3]}, self.folder / "u.safetensors")
        spec = json.dumps({"kind": "file", "path": str(self.folder / "u.safetensors"), "tensor": "mine"})
        self.decompose("--set", f"directions={spec}", "--set", "analyses=[]")
        np.testing.assert_array_equal(self.layer()["directions"], np.eye(12)[:3])
        shutil.rmtree(self.out)
        self.decompose("--set", 'directions={"kind": "random", "count": 4, "seed": 3}', "--set", "analyses=[]")
        random = self.layer()["directions"]
        np.testing.assert_allclose(np.linalg.norm(random, axis=1), 1, rtol=1e-6)
        self.assertEqual(len(random), 4)
        shutil.rmtree(self.out)
        document = self.decompose("--set", f"directions={spec}", "--set", "directions.tensor=yours", expect=3)
        self.assertIn("yours", document["failures"][0]["message"])
        for bad in ('{"kind": "outptus"}', '{"kind": "random"}', '{"kind": "axes", "count": 3}', '"axis"'):
            self.decompose("--set", f"directions={bad}", expect=2)

    def test_difference_of_two_models(self):
        _, a = write_model(self.model, d_model=12, d_hidden=12)
        shutil.copytree(self.model, self.folder / "other")
        tensors = load_file(self.model / "model.safetensors")
        tensors["layers.0.mlp.gate_proj.weight"] = tensors["layers.0.mlp.gate_proj.weight"] + np.float32(0.5)
        save_file(tensors, self.folder / "other" / "model.safetensors")
        self.decompose(
            "--minus",
            self.folder / "other",
            "--set",
            "k=all",
            "--set",
            "dtype=float64",
            "--set",
            "input_space=model",
            "--set",
            "center=none",
        )
        layer, up = self.layer(), a["layers.0.mlp.up_proj.weight"]
        q = np.einsum("uh,i,hj->uij", -0.5 * a["head.weight"], np.ones(12), up)
        q = (q + q.transpose(0, 2, 1)) / 2
        spectrum = np.linalg.eigvalsh(q)
        np.testing.assert_allclose(np.sort(layer["eigenvalues"]), np.sort(spectrum), atol=1e-6)

    def test_checkpoints_in_their_order_each_without_the_one_before(self):
        run_folder, steps = self.folder / "run", (9, 10, 100)
        paths = {step: run_folder / f"step-{step}" for step in steps}
        for step, path in paths.items():
            write_llama(path, layers=2, seed=step)

        def models(out, *arguments):
            done = bilens_cli.run(
                "decompose", *arguments, "--json", "--out", self.folder / out, "--set", "k=3", "--set", "analyses=[]"
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            return [result["model"] for result in json.loads(done.stdout)["results"]]

        self.assertEqual(models("plain", run_folder), [str(path) for path in paths.values()])
        self.assertEqual(models("changes", run_folder, "--minus", "previous"), [str(paths[10]), str(paths[100])])
        for before, step in ((9, 10), (10, 100)):
            models(f"by-hand-{step}", paths[step], "--minus", paths[before])
            found, expected = (
                load_file(self.folder / folder / "layer_0.safetensors")
                for folder in (f"changes/step-{step}", f"by-hand-{step}")
            )
            np.testing.assert_array_equal(found["eigenvalues"], expected["eigenvalues"])
            self.assertEqual(
                json.loads((self.folder / f"changes/step-{step}/decomposition.json").read_text())["minus"],
                str(paths[before]),
            )
        alone = bilens_cli.run("decompose", paths[9], "--minus", "previous", "--out", self.folder / "alone")
        self.assertEqual(alone.returncode, 2)
        self.assertIn("at least two models", alone.stderr)

    def test_a_gate_is_refused_with_what_to_do(self):
        config, _ = write_model(self.model, d_model=8, d_hidden=8)
        (self.model / "config.json").write_text(json.dumps({**config, "gate": "silu"}))
        document = self.decompose(expect=3)
        self.assertIn("train with gate", document["failures"][0]["message"])
        self.assertFalse((self.out / "decomposition.json").exists())

    def test_nan_weights_are_bad_and_zero_weights_are_fine(self):
        write_model(self.model, d_model=8, d_hidden=8)
        tensors = load_file(self.model / "model.safetensors")
        name = "layers.0.mlp.up_proj.weight"
        tensors[name][1, 2] = np.nan
        save_file(tensors, self.model / "model.safetensors")
        self.assertIn("NaN", self.decompose(expect=3)["failures"][0]["message"])
        tensors[name][:] = 0
        save_file(tensors, self.model / "model.safetensors")
        self.decompose("--data", "mnist-5k")
        self.assertEqual(abs(self.layer()["eigenvalues"]).max(), 0)
        np.testing.assert_array_equal(self.layer()["weight_energy"], 1)


class Batch(Command):
    def test_a_hundred_models_with_three_bad_ones(self):
        write_model(self.folder / "models" / "m00", d_model=4, d_hidden=4)
        for i in range(1, 100):
            shutil.copytree(self.folder / "models" / "m00", self.folder / "models" / f"m{i:02d}")
        (self.folder / "models" / "m10" / "model.safetensors").write_bytes(b"\0" * 100)
        (self.folder / "models" / "m20" / "model.safetensors").unlink()
        (self.folder / "models" / "m30" / "config.json").write_text("{")
        document = self.decompose("--set", "analyses=[]", "--set", "k=2", model=self.folder / "models", expect=3)
        self.assertEqual(len(document["results"]), 97)
        self.assertEqual([pathlib.Path(f["model"]).name for f in document["failures"]], ["m10", "m20", "m30"])
        self.assertEqual(len(list(self.out.glob("*/decomposition.json"))), 97)
        again = self.decompose(
            "--resume", "--set", "analyses=[]", "--set", "k=2", model=self.folder / "models", expect=3
        )
        self.assertTrue(all(result.get("skipped") for result in again["results"]))

    def test_out_is_not_overwritten(self):
        write_model(self.model, d_model=4, d_hidden=4)
        self.decompose("--set", "analyses=[]")
        before = bilens_cli.files_below(self.out)
        message = lambda *flags, **options: self.decompose("--set", "analyses=[]", *flags, expect=2, **options)[
            "failures"
        ][0]["message"]
        self.assertIn("--resume", message())
        # Finished is what was asked for then, of that model then.
        self.assertTrue(self.decompose("--set", "analyses=[]", "--resume")["results"][0]["skipped"])
        self.assertIn("k: expected 10", message("--set", "k=2", "--resume"))
        write_model(self.folder / "other", d_model=4, d_hidden=4, seed=9)
        self.assertIn("model_sha256", message("--resume", model=self.folder / "other"))
        self.assertEqual(bilens_cli.files_below(self.out), before)

    def test_a_folder_of_something_else_is_not_resumed(self):
        write_model(self.model, d_model=4, d_hidden=4)
        self.out.mkdir()
        (self.out / "notes.txt").write_text("mine")
        message = self.decompose("--set", "analyses=[]", "--resume", expect=2)["failures"][0]["message"]
        self.assertIn("No decomposition was begun there", message)
        self.assertEqual(bilens_cli.files_below(self.out), {"notes.txt": b"mine"})

    def test_layers_that_are_not_there_are_refused(self):
        write_model(self.model, n_layers=2, d_model=4, d_hidden=4)
        for flags in ((), ("--dry-run",)):
            message = self.decompose("--set", "analyses=[]", "--set", "layers=[0,9]", *flags, expect=2)["failures"][0][
                "message"
            ]
            self.assertIn("(0, 1), found 9", message)
        self.assertFalse(self.out.exists())

    def test_data_that_are_not_there_are_found_before_the_work(self):
        write_model(self.model, d_model=4, d_hidden=4)
        self.decompose("--data", "mnist:nowhere", expect=3)
        self.assertFalse(self.out.exists())

    def test_one_of_several_models_has_to_be_named(self):
        for name in ("a", "b"):
            write_model(self.folder / "models" / name, d_model=4, d_hidden=4)
        result = bilens_cli.run("inspect", self.folder / "models")
        self.assertEqual(result.returncode, 3)
        self.assertIn("expected one model", result.stderr)

    def test_dry_run_estimates_and_does_nothing(self):
        write_model(self.model, d_model=64, d_hidden=64)
        document = self.decompose("--dry-run")
        self.assertGreater(document["estimate"]["memory_bytes"], 10**8)
        self.assertEqual(document["problems"], [])
        self.assertFalse(self.out.exists())


if __name__ == "__main__":
    unittest.main()
