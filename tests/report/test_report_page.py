"""Opens a page of `bilens report` in headless Chromium and uses it.

The run, decomposition and study are written here, small and synthetic, as docs/formats.md says.
"""

import hashlib
import json
import shutil
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run
from pages import HOSTILE, HOSTILE_NAME, InBrowser, assert_self_contained

SIDE, CLASSES, K, EXAMPLES = 6, 4, 7, 3


def write_json(path, value):
    path.write_text(json.dumps(value))


def symmetric_forms(random):
    """Eigenpairs of one random symmetric matrix for each class: [n, k] and [n, k, d], ordered as the format says."""
    values, vectors = [], []
    for _ in range(CLASSES):
        matrix = random.standard_normal((SIDE * SIDE, SIDE * SIDE))
        eigenvalues, columns = np.linalg.eigh(matrix + matrix.T)
        order = np.argsort(-abs(eigenvalues))[:K]
        rows = columns[:, order].T
        values.append(eigenvalues[order])
        vectors.append(rows * np.sign(rows[np.arange(K), abs(rows).argmax(1)])[:, None])
    return np.array(values), np.array(vectors)


def write_run(run):
    model = run / "model"
    model.mkdir(parents=True)
    write_json(run / "config.json", {
        "model": {"type": "bilinear_mlp", "d_model": 8, "d_hidden": 8, "n_layers": 1},
        "data": {"dataset": HOSTILE}, "train": {"epochs": 2, "seed": 3, "input_noise": {"std": 0.3, "unit": "pixel"}}})
    write_json(run / "env.json", {"version": "0.1.0", "device": "cpu, 1 threads"})
    lines = [{"step": i + 1, "epoch": (i + 1) / 30, "loss": 2.3 / (i + 1) ** 0.5, "accuracy": 1 - 0.9 / (i + 1) ** 0.5,
              "grad_norm": 1.0, "lr": 1e-3, "images_per_second": 1e4} for i in range(60)]
    lines.insert(30, {"step": 30, "epoch": 1, "split": "validation", "examples": 50, "loss": 0.5, "accuracy": 0.8})
    lines.append({"step": 60, "epoch": 2, "split": "test", "examples": 100, "loss": 0.4, "accuracy": 0.875})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 61, "lo')
    write_json(model / "config.json", {
        "model_type": "bilinear_mlp", "d_input": SIDE * SIDE, "d_model": 8, "d_hidden": 8, "d_output": CLASSES, "n_layers": 1,
        "gate": "none", "bias": False, "residual": False, "down_proj": False, "image_shape": [SIDE, SIDE],
        "pixel_mean": 0.0, "pixel_std": 1.0, "format_version": 1})
    save_file({"head.weight": np.zeros((CLASSES, 8), np.float32)}, str(model / "model.safetensors"))
    return model


def write_decomposition(directory, model, random):
    directory.mkdir(parents=True)
    values, vectors = symmetric_forms(random)
    per_pair = np.full((CLASSES, K), 1e-7)
    save_file({"eigenvalues": values, "eigenvectors": vectors.astype(np.float32), "residuals": per_pair,
               "trace": values.sum(1), "frobenius": np.linalg.norm(values, axis=1),
               "weight_energy": np.cumsum(values**2, 1) / (values**2).sum(1, keepdims=True) * 0.9, "vector_error": per_pair,
               "converged": np.ones(CLASSES, np.uint8), "columns": np.full(CLASSES, SIDE * SIDE, np.int32),
               "cluster": np.tile(np.arange(K, dtype=np.int32), (CLASSES, 1)), "tie_at_k": np.zeros(CLASSES, np.uint8)},
              str(directory / "layer_0.safetensors"))
    write_json(directory / "decomposition.json", {
        "format": "bilens-decomposition", "format_version": 1, "version": "0.1.0", "model": str(model),
        "model_sha256": hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest(),
        "model_type": "bilinear_mlp", "image_shape": [SIDE, SIDE], "config": {"k": K}, "device": "cpu, 1 threads", "seconds": 0.1,
        "layers": [{"layer": 0, "file": "layer_0.safetensors", "method": "dense", "dtype": "float32", "input_space": "input",
                    "d_in": SIDE * SIDE, "d_hidden": 8, "d_out": 8, "directions": "outputs", "output_is": "logits",
                    "n_directions": CLASSES, "center": "mean", "mean_energy_share": 0.1, "k": K, "has_linear": False,
                    "worst_residual": 1e-7, "converged": CLASSES, "certified": 0, "effective_rank": [5.0] * CLASSES,
                    "seconds": {"form": 0.1, "solve": 0.1, "energy": 0.0}}]})


def write_study(directory, random):
    images = random.integers(0, 256, (10, SIDE, SIDE), dtype=np.uint8)
    shape = (CLASSES, K, EXAMPLES)
    save_file({"images": images, "labels": np.arange(10) % CLASSES,
               "layer_0.examples.positive": random.integers(0, 10, shape).astype(np.int32),
               "layer_0.examples.negative": random.integers(0, 10, shape).astype(np.int32),
               "layer_0.projections.positive": random.random(shape), "layer_0.projections.negative": -random.random(shape)},
              str(directory / "study.safetensors"))
    per_pair = random.random((CLASSES, K)).tolist()
    write_json(directory / "study.json", {
        "format": "bilens-study", "format_version": 1, "data": {"dataset": "synthetic", "split": "test", "examples": 100},
        "evaluation": {"examples": 100, "loss": 0.4, "accuracy": 0.875},
        "truncation": [{"layer": 0, "k": [0, 1, 2, 5, 7], "accuracy": [0.25, 0.5, 0.7, 0.87, 0.875], "loss": [1.4, 0.9, 0.6, 0.41, 0.4]}],
        "exactness": [{"layer": 0, "relative_error": 1e-7, "max_error": 1e-6}],
        "layers": [{"layer": 0, "mean_contribution": per_pair, "std_contribution": per_pair, "data_r2": per_pair,
                    "linear_share": [0.0] * CLASSES, "examples_file_indices": "layer_0.examples.positive, .negative"}]})


def write_example(run):
    random = np.random.default_rng(7)
    model = write_run(run)
    write_decomposition(model / "decomposition", model, random)
    write_study(model / "decomposition", random)


class ReportFiles(TestCase):
    """What needs no browser."""

    def setUp(self):
        super().setUp()
        self.run_directory = self.folder / HOSTILE_NAME
        write_example(self.run_directory)

    def test_prints_the_path_and_loads_nothing(self):
        out = self.folder / "page.html"
        result = run("report", self.run_directory, "--out", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(str(out), result.stdout)
        assert_self_contained(out)

    def test_the_same_input_gives_the_same_page(self):
        pages = [self.folder / name for name in ("a.html", "b.html")]
        for page in pages:
            run("report", self.run_directory, "--out", page)
        self.assertEqual(pages[0].read_bytes(), pages[1].read_bytes())

    def test_run_model_and_decomposition_are_all_understood(self):
        model = self.run_directory / "model"
        for directory in (self.run_directory, model, model / "decomposition", self.folder):
            result = run("report", directory, "--out", self.folder / "page.html")
            self.assertEqual(result.returncode, 0, result.stderr)

    def assert_refused(self, *mentioned):
        result = run("report", self.run_directory, "--out", self.folder / "page.html")
        self.assertEqual(result.returncode, 3, result.stderr)
        for text in mentioned:
            self.assertIn(text, result.stderr)
        self.assertFalse((self.folder / "page.html").exists())

    def test_nothing_to_report(self):
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertEqual(run("report", empty, "--out", self.folder / "page.html").returncode, 3)
        self.assertEqual(run("report", self.folder / "missing", "--out", self.folder / "page.html").returncode, 3)

    def test_damaged_metrics(self):
        (self.run_directory / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n{"step": \n')
        self.assert_refused("metrics.jsonl", "line 2")

    def test_truncated_tensors(self):
        file = self.run_directory / "model" / "decomposition" / "layer_0.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        self.assert_refused("layer_0.safetensors")

    def test_unknown_format_version(self):
        file = self.run_directory / "model" / "decomposition" / "decomposition.json"
        write_json(file, json.loads(file.read_text()) | {"format_version": 2})
        self.assert_refused("decomposition.json", "version 2")

    def test_a_layer_file_elsewhere(self):
        file = self.run_directory / "model" / "decomposition" / "decomposition.json"
        content = json.loads(file.read_text())
        content["layers"][0]["file"] = "../../layer_0.safetensors"
        write_json(file, content)
        self.assert_refused("layers[0].file")

    def test_examples_that_point_nowhere(self):
        file = self.run_directory / "model" / "decomposition" / "study.safetensors"
        tensors = load_file(str(file))
        tensors["layer_0.examples.negative"][0, 0, 0] = 10
        save_file(tensors, str(file))
        self.assert_refused("layer_0.examples.negative")


class ReportPage(InBrowser):
    """The page in a browser."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_directory = cls.folder / HOSTILE_NAME
        write_example(cls.run_directory)
        cls.page = cls.folder / "page.html"
        result = run("report", cls.run_directory, "--out", cls.page)
        assert result.returncode == 0, result.stderr

    def open(self, fragment="", page=None):
        self.visit(page or self.page, fragment)

    def test_hostile_names_stay_text(self):
        self.open()
        self.assertEqual(self.text("h1"), self.run_directory.name)
        self.assertIn(HOSTILE, self.text(".lead"))
        self.assertEqual(self.ask("document.querySelectorAll('script').length"), 2)

    def test_pictures_are_drawn(self):
        self.open()
        self.assertGreater(self.ask("document.querySelectorAll('canvas').length"), 2 * CLASSES + K)
        blank = self.ask("""[...document.querySelectorAll('canvas')].filter((canvas) => {
            const bytes = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            return new Set(new Uint32Array(bytes.buffer)).size < 3; }).length""")
        self.assertEqual(blank, 0)
        self.assertGreaterEqual(self.ask("document.querySelectorAll('.chart.drawn svg path').length"), 4)

    def test_figures_come_from_the_files(self):
        self.open()
        self.assertEqual(self.text(".figure-value"), "87.5%")
        self.assertIn("32", self.text(".facts"))  # parameters

    def test_the_slider_changes_the_accuracy(self):
        self.open()
        shown = []
        for position in range(5):
            self.driver.execute_script(
                "const slider = document.querySelector('input[type=range]'); slider.value = arguments[0];"
                "slider.dispatchEvent(new Event('input', {bubbles: true}))", position)
            shown.append(self.text(".truncation output .figure-value"))
        self.assertEqual(shown, ["25.0%", "50.0%", "70.0%", "87.0%", "87.5%"])
        self.assertIn("7 eigenvectors", self.ask("document.querySelector('input[type=range]').getAttribute('aria-valuetext')"))

    def test_the_picker_works_by_mouse_and_keyboard(self):
        self.open()
        self.click("[role=tab]:nth-child(3)")
        self.assertIn("Class 2", self.text(".selected h4"))
        self.assertIn("/direction-2/", self.ask("location.hash"))
        self.press("[role=tab][aria-selected=true]", "ArrowRight")
        self.assertIn("Class 3", self.text(".selected h4"))
        self.press("[role=tab][aria-selected=true]", "Home")
        self.assertIn("Class 0", self.text(".selected h4"))
        self.click(".overview button:nth-child(2)")
        self.assertIn("Class 1", self.text(".selected h4"))
        self.click("[data-step='1']")
        self.assertIn("eigenvector 1", self.text(".selected h4"))

    def test_links_open_a_card(self):
        self.open("#model-1/layer-0/direction-2/eigenvector-3")
        self.assertEqual(self.text(".selected h4"), "Class 2, eigenvector 3")
        values = load_file(str(self.run_directory / "model/decomposition/layer_0.safetensors"))["eigenvalues"]
        self.assertAlmostEqual(float(self.text(".numbers dd").replace("−", "-")), values[2, 3], delta=1e-3 * abs(values[2, 3]))
        self.assertEqual(self.ask("location.hash.split('/').pop()"), "eigenvector-3")
        self.assertEqual(self.ask("document.querySelector('.thumbnails [aria-pressed=true] .eigenvalue i').textContent"), "3")
        self.driver.execute_script("location.hash = '#model-1/layer-0/direction-1'")
        self.driver.execute_async_script("setTimeout(arguments[0], 50)")
        self.assertIn("Class 1", self.text(".selected h4"))
        self.open("#model-9/layer-7/direction-99/eigenvector-0")
        self.assertIn("Class 0", self.text(".selected h4"))

    def test_dark_differs_from_light(self):
        with self.scheme("light"):
            self.open()
            light = self.look()
        with self.scheme("dark"):
            self.open()
            for of_light, of_dark in zip(light, self.look()):
                self.assertNotEqual(of_light, of_dark)
            self.click("#theme")
            self.assertEqual(self.look(), light)

    def look(self):
        return self.ask("[getComputedStyle(document.body).backgroundColor, document.querySelector('canvas').toDataURL()]")

    def test_nothing_overflows_on_a_phone(self):
        with self.phone():
            self.open()
            self.assert_fits_a_phone()

    def test_several_models(self):
        other = self.folder / "b"
        if not other.exists():
            write_example(other)
        page = self.folder / "two.html"
        self.assertEqual(run("report", self.run_directory, other, "--out", page).returncode, 0)
        self.open(page=page)
        names = "[...document.querySelectorAll('.index tbody tr')].map((row) => row.cells[0].textContent)"
        self.assertEqual(self.ask(names), [self.run_directory.name, "b"])
        self.click(".index th button")
        self.click(".index th button")
        self.assertEqual(self.ask(names), ["b", self.run_directory.name])
        self.open("#model-2/layer-0/direction-1", page)
        self.assertTrue(self.ask("document.getElementById('model-2').open"))
        self.assertIn("Class 1", self.text("#model-2 .selected h4"))

    def open_study(self, change):
        """A page whose study `change` was made to."""
        folder = self.folder / "changed"
        shutil.rmtree(folder, ignore_errors=True)
        write_example(folder)
        file = folder / "model" / "decomposition" / "study.json"
        study = json.loads(file.read_text())
        change(study)
        write_json(file, study)
        page = self.folder / "changed.html"
        done = run("report", folder, "--out", page)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.open(page=page)

    def eigenvectors_that_suffice(self):
        return next(text for text in self.texts(".figure-label") if "eigenvector" in text)

    def test_k_chosen_on_validation_images_is_shown_on_test_images(self):
        def change(study):
            study["validation"] = {"examples": 50, "loss": 0.5, "accuracy": 0.7}
            study["truncation"][0] |= {"validation": {"accuracy": [0.2, 0.5, 0.7, 0.7, 0.7], "loss": [1.0] * 5}, "chosen": {"k": 2, "split": "validation"}}
        self.open_study(change)
        self.assertIn("within one point of the accuracy on the validation images, where k was chosen; on the test images 70.0%", self.eigenvectors_that_suffice())
        self.assertIn("on the 50 validation images", self.text("main"))
        self.assertEqual(self.text(".truncation output .figure-value"), "70.0%")

    def test_k_chosen_on_the_images_that_show_it_says_so(self):
        self.open_study(lambda study: study["truncation"][0].update(chosen={"k": 5, "split": "test"}))
        self.assertIn("chosen on the same images", self.eigenvectors_that_suffice())
        self.assertIn("none were kept to choose it on", self.text("main"))

    def test_r_squared_of_a_constant_is_undefined(self):
        self.open_study(lambda study: study["layers"][0].update(data_r2=[[None] * K] * CLASSES))
        self.assertIn("undefined", self.text(".numbers"))
        self.assertNotIn("null", self.text(".numbers"))


if __name__ == "__main__":
    unittest.main()
