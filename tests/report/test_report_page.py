"""Opens a page of `bilens report` in headless Chromium and uses it.

The run, decomposition and study are those of example_run; some of them are changed to what the program would not write.
"""

import json
import shutil
import unittest

from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run
from example_run import CLASSES, K, change_json, write_example
from pages import HOSTILE, HOSTILE_NAME, InBrowser, assert_self_contained


def write_hostile_example(run_directory):
    """The example with markup as the name of its data, and cut short as it was writing a line."""
    write_example(run_directory)
    change_json(run_directory / "config.json", lambda config: config["data"].update(dataset=HOSTILE))
    with (run_directory / "metrics.jsonl").open("a") as file:
        file.write('{"step": 61, "lo')


class ReportFiles(TestCase):
    """What needs no browser."""

    def setUp(self):
        super().setUp()
        self.run_directory = self.folder / HOSTILE_NAME
        write_hostile_example(self.run_directory)

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
        change_json(file, lambda content: content.update(format_version=2))
        self.assert_refused("decomposition.json", "version 2")

    def test_a_layer_file_elsewhere(self):
        file = self.run_directory / "model" / "decomposition" / "decomposition.json"
        change_json(file, lambda content: content["layers"][0].update(file="../../layer_0.safetensors"))
        self.assert_refused("layers[0].file")

    def test_examples_that_point_nowhere(self):
        file = self.run_directory / "model" / "decomposition" / "study.safetensors"
        tensors = load_file(str(file))
        tensors["layer_0.examples.negative"][0, 0, 0] = len(tensors["images"])
        save_file(tensors, str(file))
        self.assert_refused("layer_0.examples.negative")


class ReportPage(InBrowser):
    """The page in a browser."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_directory = cls.folder / HOSTILE_NAME
        write_hostile_example(cls.run_directory)
        cls.study = json.loads((cls.run_directory / "model/decomposition/study.json").read_text())
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
        self.assertEqual(self.text(".figure-value"), f"{100 * self.study['evaluation']['accuracy']:.1f}%")
        weights = load_file(self.run_directory / "model/model.safetensors")
        facts = dict(zip(self.texts(".facts dt"), self.texts(".facts dd")))
        self.assertEqual(facts["Parameters"], str(sum(weight.size for weight in weights.values())))

    def test_the_slider_changes_the_accuracy(self):
        self.open()
        (curve,) = self.study["truncation"]
        shown = []
        for position in range(len(curve["k"])):
            self.driver.execute_script(
                "const slider = document.querySelector('input[type=range]'); slider.value = arguments[0];"
                "slider.dispatchEvent(new Event('input', {bubbles: true}))",
                position,
            )
            shown.append(self.text(".truncation output .figure-value"))
        self.assertEqual(shown, [f"{100 * accuracy:.1f}%" for accuracy in curve["accuracy"]])
        self.assertGreater(len(set(shown)), 2)
        self.assertIn(
            f"{K} eigenvectors", self.ask("document.querySelector('input[type=range]').getAttribute('aria-valuetext')")
        )

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
        self.assertAlmostEqual(
            float(self.text(".numbers dd").replace("−", "-")), values[2, 3], delta=1e-3 * abs(values[2, 3])
        )
        self.assertEqual(self.ask("location.hash.split('/').pop()"), "eigenvector-3")
        self.assertEqual(
            self.ask("document.querySelector('.thumbnails [aria-pressed=true] .eigenvalue i').textContent"), "3"
        )
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
        return self.ask(
            "[getComputedStyle(document.body).backgroundColor, document.querySelector('canvas').toDataURL()]"
        )

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
        change_json(folder / "model" / "decomposition" / "study.json", change)
        page = self.folder / "changed.html"
        done = run("report", folder, "--out", page)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.open(page=page)

    def eigenvectors_that_suffice(self):
        return next(text for text in self.texts(".figure-label") if "eigenvector" in text)

    def test_k_chosen_on_validation_images_is_shown_on_test_images(self):
        self.open()
        (curve,) = self.study["truncation"]
        self.assertEqual(curve["chosen"]["split"], "validation")
        reached = f"{100 * curve['accuracy'][curve['k'].index(curve['chosen']['k'])]:.1f}%"
        self.assertNotEqual(reached, self.text(".figure-value"))
        self.assertIn(
            "within one point of the accuracy on the validation images, where k was chosen; "
            f"on the test images {reached}",
            self.eigenvectors_that_suffice(),
        )
        self.assertIn(f"on the {self.study['validation']['examples']} validation images", self.text("main"))
        self.assertEqual(self.text(".truncation output .figure-value"), reached)

    def test_k_chosen_on_the_images_that_show_it_says_so(self):
        def change(study):
            study["validation"] = None
            study["truncation"][0] |= {"validation": None, "chosen": {"k": 5, "split": "test"}}

        self.open_study(change)
        self.assertIn("chosen on the same images", self.eigenvectors_that_suffice())
        self.assertIn("none were kept to choose it on", self.text("main"))

    def test_r_squared_of_a_constant_is_undefined(self):
        self.open_study(lambda study: study["layers"][0].update(data_r2=[[None] * K] * CLASSES))
        self.assertIn("undefined", self.text(".numbers"))
        self.assertNotIn("null", self.text(".numbers"))


if __name__ == "__main__":
    unittest.main()
