"""Opens explanation.html of `bilens explain --out` in headless Chromium and uses it.

The program explains random but complete models; the page is then held against the two files beside it.
"""

import json
import re
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import run
from classifiers import test_labels, write_model
from pages import HOSTILE_NAME, InBrowser, WithFolder, assert_self_contained


def explain(model, out, image=7, expect=0):
    result = run("explain", model, "--input", f"test:{image}", "--data", "mnist-5k", "--out", out)
    assert result.returncode == expect, result.stderr
    return result


class Example:
    """An explanation of a random model under a hostile name, and what its files say."""

    def __init__(self, folder, name, **model):
        self.out = folder / name
        write_model(folder / HOSTILE_NAME / name, d_model=12, d_hidden=12, **model)
        self.result = explain(folder / HOSTILE_NAME / name, self.out)
        self.page = self.out / "explanation.html"
        self.json = json.loads((self.out / "explanation.json").read_text())
        self.tensors = load_file(str(self.out / "explanation.safetensors"))

    def contribution_map(self, number, term):
        """λp v x, pixel by pixel."""
        entry = self.json["classes"][number]["terms"][term]
        pixels = self.tensors["image"].ravel() / 255.0
        return entry["eigenvalue"] * entry["projection"] * self.tensors[f"class_{number}.term_{term}"] * pixels


def write_overflowing_model(folder):
    """A model whose logits are beyond float32."""
    write_model(folder, d_model=12, d_hidden=12)
    tensors = load_file(str(folder / "model.safetensors"))
    tensors["embed.weight"] *= np.float32(1e25)
    save_file(tensors, str(folder / "model.safetensors"))


def without_numbers(page):
    """The page beside this one that has null for every result, as for what is not finite."""
    before, data, after = re.fullmatch(r'(.*id="data">)(.*?)(</script>.*)', page.read_text(), re.S).groups()
    data = json.loads(data)
    for entry in data["classes"]:
        entry.update(dict.fromkeys(("logit", "sum", "shared", "direct", "linear", "other")))
        for term in entry["terms"]:
            term.update(dict.fromkeys(("eigenvalue", "projection", "contribution")))
    changed = page.with_name("without_numbers.html")
    changed.write_text(before + json.dumps(data).replace("<", "\\u003c") + after)
    return changed


class ExplanationFiles(WithFolder):
    """What needs no browser."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.example = Example(cls.folder, "one", bias=True)

    def test_prints_the_path_and_loads_nothing(self):
        self.assertIn(str(self.example.page), self.example.result.stdout)
        assert_self_contained(self.example.page)

    def test_the_pixels_of_a_map_add_up_to_the_contribution(self):
        for number, entry in enumerate(self.example.json["classes"]):
            for i, term in enumerate(entry["terms"]):
                self.assertAlmostEqual(self.example.contribution_map(number, i).sum(), term["contribution"], places=4)

    def test_report_names_the_page(self):
        result = run("report", self.example.out)
        self.assertEqual(result.returncode, 3)
        self.assertIn("explanation.html", result.stderr)

    def test_logits_beyond_float32_are_null(self):
        write_overflowing_model(self.folder / "large")
        explain(self.folder / "large", self.folder / "overflow")
        entry = json.loads((self.folder / "overflow" / "explanation.json").read_text())["classes"][0]
        self.assertIsNone(entry["logit"])
        self.assertGreater(abs(entry["sum"]), 1e39)
        self.assertIn('"logit":null', (self.folder / "overflow" / "explanation.html").read_text())

    def test_a_place_that_cannot_be_written(self):
        blocked = self.folder / "blocked"
        (blocked / "explanation.html").mkdir(parents=True)
        (blocked / "explanation.html" / "file").write_text("kept")
        model = self.folder / HOSTILE_NAME / "one"
        self.assertIn("an empty or new folder", explain(model, blocked, expect=2).stderr)
        self.assertTrue((blocked / "explanation.html" / "file").exists())


class ExplanationPage(InBrowser):
    """The page in a browser."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.one = Example(cls.folder, "one", bias=True)
        cls.deep = Example(cls.folder, "deep", n_layers=2, residual=True)

    def open(self, fragment="", example=None):
        self.visit((example or self.one).page, fragment)

    def test_the_head(self):
        self.open()
        predicted = self.one.json["prediction"]
        self.assertEqual(self.text("h1"), f"Predicted {predicted}")
        self.assertEqual(self.text(".logits .predicted .name")[:7], f"Class {predicted}")
        self.assertIn(str(test_labels()[7]), self.text(".lead") + self.text(".facts"))
        self.assertEqual(len(self.texts(".logits li")), 10)
        image = self.ask("""(() => { const node = document.querySelector('.input-image canvas');
            return [...node.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0); })()""")
        self.assertEqual(image, self.one.tensors["image"].ravel().tolist())

    def test_hostile_names_stay_text(self):
        self.open()
        self.assertIn(HOSTILE_NAME, self.text(".sources"))
        self.assertEqual(self.ask("document.querySelectorAll('script').length"), 2)

    def numbers(self, selector):
        return [
            float(re.sub(r"×10.*", "", text).replace("−", "-").replace("+", "")) * 10 ** self.power(text)
            for text in self.texts(selector)
        ]

    def power(self, text):
        found = re.search("×10(.*)", text)
        return int(found[1].translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))) if found else 0

    def test_the_rows_are_those_of_the_file(self):
        for example in (self.one, self.deep):
            self.open("#class-3", example)
            entry = example.json["classes"][3]
            expected = [
                entry["shared"],
                entry["direct"],
                entry["linear"],
                *(t["contribution"] for t in entry["terms"]),
                entry["other_terms"] - entry["shared"],
                entry["sum"],
            ]
            np.testing.assert_allclose(self.numbers(".rows .value"), expected, rtol=6e-3, atol=1e-12)
            self.assertIn("rounding", self.text(".check"))

    def test_the_bars_lead_to_the_sum(self):
        self.open("#class-3")
        left, right = self.ask(
            """(() => { const box = (row) => row.querySelector('.bar-of').getBoundingClientRect();
            const rows = [...document.querySelectorAll('.rows .row')];
            const other = rows.at(-2).querySelector('.after').getBoundingClientRect().left;
            const total = box(rows.at(-1));
            return [other, parseFloat(arguments[0]) > 0 ? total.right : total.left]; })()""",
            self.one.json["classes"][3]["sum"],
        )
        self.assertAlmostEqual(left, right, delta=2)

    def test_a_comparison_of_two_classes(self):
        self.open("#class-3/against-5")
        c, d = (self.one.json["classes"][i] for i in (3, 5))
        values = self.numbers(".rows .value")
        self.assertAlmostEqual(values[-1], c["sum"] - d["sum"], delta=6e-3 * abs(values[-1]))
        self.assertAlmostEqual(sum(values[:-1]), values[-1], delta=0.02 * max(map(abs, values)))
        self.assertIn("Class 5, eigenvector", "".join(self.texts(".row .what b")))
        self.driver.execute_script(
            "const list = document.querySelector('select'); list.selectedIndex = 0;"
            "list.dispatchEvent(new Event('change', {bubbles: true}))"
        )
        self.assertEqual(self.ask("location.hash"), "#class-3")

    def test_where_image_and_eigenvector_meet(self):
        self.open("#class-3/row-1")
        expected = self.one.contribution_map(3, 1)
        colours = np.array(
            self.ask("""(() => { const node = document.querySelector('.pictures canvas.large');
            return [...node.getContext('2d').getImageData(0, 0, node.width, node.height).data]; })()""")
        ).reshape(-1, 4)
        strong = abs(expected) > 0.3 * abs(expected).max()
        self.assertTrue(strong.any())
        blue = colours[strong, 2] > colours[strong, 0]
        np.testing.assert_array_equal(blue, expected[strong] > 0)
        neutral = colours[self.one.tensors["image"].ravel() == 0]
        self.assertEqual(len(np.unique(neutral, axis=0)), 1)

    def test_deeper_layers_are_profiles(self):
        self.open("#class-0", self.deep)
        layers = [term["layer"] for term in self.deep.json["classes"][0]["terms"]]
        self.assertEqual(set(layers), {0, 1})
        shown = self.ask(
            "[...document.querySelectorAll('button.row')].map((row) =>"
            " ['.profile', '.meet canvas'].map((part) => row.querySelectorAll(part).length))"
        )
        self.assertEqual(shown, [[int(layer > 0), int(layer == 0)] for layer in layers])

    def test_mouse_keyboard_and_links(self):
        self.open()
        self.click(".logits button[data-class='4']")
        self.assertIn("class 4", self.text(".list h3"))
        self.press("[role=tab][aria-selected=true]", "ArrowRight")
        self.assertIn("class 5", self.text(".list h3"))
        self.assertEqual(self.ask("document.activeElement.textContent"), "5")
        self.click("button.row[data-term='2']")
        self.assertEqual(self.ask("location.hash"), "#class-5/row-2")
        self.assertEqual(self.text(".selected h4"), self.texts(".row .what b")[5])
        self.click("[data-step='Next row']")
        self.assertEqual(self.ask("document.querySelector('button.row[aria-pressed=true]').dataset.term"), "3")
        self.click("button.row[data-term='3']")
        self.assertEqual(self.text(".selected h4"), "All rows together")
        for fragment in ("#class-99", "#class-1/against-77/row-99", "#class-x"):
            self.open(fragment)
            self.assertEqual(self.text(".selected h4"), "All rows together")

    def test_numbers_that_are_not_finite_are_not_shown_as_zero(self):
        write_overflowing_model(self.folder / "large")
        explain(self.folder / "large", self.folder / "overflow")
        for page in (self.folder / "overflow" / "explanation.html", without_numbers(self.one.page)):
            for fragment in ("", "#class-3", "#class-3/against-5", "#class-3/row-0"):
                self.visit(page, fragment)
                self.assertEqual(set(self.texts(".logits .value")), {"–"})
                self.assertNotIn("probability", self.text(".facts"))
                self.assertIn("not finite", self.text(".check"))
                self.assertEqual(set(self.texts("#classes td:nth-last-child(-n+2)")), {"–"})
        self.assertEqual(set(self.texts(".rows .value")), {"–"})
        self.assertEqual(set(self.texts("#classes td.number")), {"–"})

    def test_dark_differs_from_light(self):
        looks = {}
        for scheme in ("light", "dark"):
            with self.scheme(scheme):
                self.open()
                looks[scheme] = self.ask(
                    "[getComputedStyle(document.body).backgroundColor,"
                    " document.querySelector('.pictures canvas').toDataURL()]"
                )
        self.assertNotEqual(looks["light"][0], looks["dark"][0])
        self.assertNotEqual(looks["light"][1], looks["dark"][1])

    def test_nothing_overflows_on_a_phone(self):
        with self.phone():
            for fragment in ("#class-2", "#class-2/against-3/row-0"):
                self.open(fragment, self.deep)
                self.assert_fits_a_phone()


if __name__ == "__main__":
    unittest.main()
