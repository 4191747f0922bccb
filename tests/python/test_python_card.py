"""The card that a decomposition shows of itself: well-formed, small, self-contained, and as the tensors say."""

import pathlib
import re
import tempfile
import unittest

import torch

from notebook import checked
from pages import HOSTILE, InBrowser
from python_package import bilens, layer

HEAD = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'


class Stack(torch.nn.Module):
    def __init__(self, layers, width=32, hidden=64):
        super().__init__()
        self.layers = torch.nn.ModuleList(bilens.nn.BilinearMLP(width, hidden) for _ in range(layers))


def heights(path):
    return [-float(h) for h in re.findall(r"v(-?[\d.e-]+)", path)]


class Card(unittest.TestCase):
    def check(self, of):
        return checked(self, of)

    def test_bars_are_the_eigenvalues(self):
        gate, matrices = layer()
        found = bilens.decompose(gate, **matrices, k=4, certify=True)
        parsed = self.check(found)
        paths = [path["d"] for path in parsed.of("path") if path["stroke"].startswith("var")]
        lines = [path["d"] for path in parsed.of("path") if "stroke-dasharray" in path]
        self.assertEqual((len(paths), len(lines)), (10, 5))
        scale = 130 / 2 - 8
        for u, values in enumerate(found.eigenvalues.tolist()):
            for path, wanted in zip(paths[2 * u : 2 * u + 2], (1, -1)):
                expected = [v / abs(values[0]) * scale for v in values if v * wanted > 0]
                for drawn, value in zip(heights(path), expected, strict=True):
                    self.assertAlmostEqual(drawn, value, delta=0.01 * scale)
                self.assertTrue(all(start == "65" for start in re.findall(r"M[\d.]+ ([\d.]+)", path)))
            low, high = (float(y) for y in re.findall(r"M64 ([\d.]+)", lines[u]))
            self.assertAlmostEqual(
                (high - low) / 2, found.certified_bound[u].item() / abs(values[0]) * scale, delta=0.1
            )
            self.assertAlmostEqual((high + low) / 2, 65, delta=0.1)
        said = parsed.said()
        for fact in ("directions n  5", "eigenpairs k  4", "converged  5 of 5", "certified  5 of 5", "inputs  12"):
            self.assertIn(fact, said)

    def test_no_more_than_some_kilobytes(self):
        found = bilens.decompose(Stack(30), activation="none", k=32, certify=True)
        parsed = self.check(found)
        self.assertIn("and 6 more layers", parsed.said())
        self.assertIn("and 30 more directions", parsed.said())
        self.assertEqual(len(parsed.of("svg")), 48)
        found.info["model"] = "&" * 500
        for part in found:
            part.info["direction_names"] = ['"&' * 60] * 32
        self.check(found)
        wide = bilens.decompose(Stack(1, 400, 8), activation="none", k=40)
        parsed = self.check(wide)
        self.assertIn("and 376 more directions", parsed.said())
        self.assertIn("the first 32 of 40 are drawn", parsed.said())

    def test_names_that_are_no_html(self):
        gate, matrices = layer()
        found = bilens.decompose(gate, **matrices, k=4)
        found.info["model"] = HOSTILE * 50
        found.layers[0].info["direction_names"] = ["&" * 100, "'\"><b>", HOSTILE, "▁she − ▁he", "$x$"]
        text = found._repr_html_()
        self.check(found)
        self.assertIn("&#x27;&quot;&gt;&lt;b&gt;", text)
        self.assertNotIn("<b>'", text)
        self.assertIn("▁she − ▁he", text)
        self.assertLess(len(text.encode()), 20_000)

    def test_every_method(self):
        gate, matrices = layer()
        for method in ("hosvd", "rotate", "joint", "sparse_eigen"):
            with self.subTest(method):
                found = bilens.decompose(gate, **matrices, method=method, k=3)
                said = self.check(found).said()
                self.assertIn(method, said)
                self.assertIn(found.info["layers"][0]["words"] if method != "rotate" else "eigenpairs k  3", said)

    def test_eigenvalues_of_zero(self):
        gate, matrices = layer()
        found = bilens.decompose(gate * 0, **matrices, k=3)
        self.assertIn("λ 0, 0, 0", self.check(found).said())

    def test_two_cards_of_one_decomposition(self):
        gate, matrices = layer()
        found = bilens.decompose(gate, **matrices, k=3)
        first, second = (set(re.findall(r'(?:id|name)="([^"]+)"', found._repr_html_())) for _ in range(2))
        self.assertFalse(first & second)


class Shown(InBrowser):
    """What a reader sees of two cards on one page."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="bilens-card-")
        cls.addClassCleanup(folder.cleanup)
        found = bilens.decompose(Stack(3, 8, 12), activation="none", k=4, certify=True)
        cls.page = pathlib.Path(folder.name) / "cards.html"
        cls.page.write_text(f"<!doctype html>{HEAD}{found._repr_html_()}{found._repr_html_()}")

    def shown(self):
        """For each card, the layer and the direction that the one visible chart is of."""
        return self.ask("""[...document.body.children].filter((card) => card.id).map((card) =>
            [...card.querySelectorAll("svg")].filter((chart) => chart.getClientRects().length)
            .map((chart) => chart.closest("section").parentElement.closest("section").previousSibling.textContent
              + " " + chart.closest("section").previousSibling.textContent))""")

    def test_tabs(self):
        self.visit(self.page)
        self.assertEqual(self.shown(), [["layer 0 0"], ["layer 0 0"]])
        self.click("body > div:nth-of-type(2) > .card > .tabs > label:nth-of-type(3)")
        self.assertEqual(self.shown(), [["layer 0 0"], ["layer 2 0"]])
        self.click("body > div:nth-of-type(2) > .card > .tabs > section:nth-of-type(3) label:nth-of-type(5)")
        self.assertEqual(self.shown(), [["layer 0 0"], ["layer 2 4"]])

    def test_untrusted_notebooks_drop_the_style(self):
        self.visit(self.page)
        told = """document.querySelectorAll(".untrusted")[0].getClientRects().length > 0"""
        self.assertFalse(self.ask(told))
        self.driver.execute_script("for (const style of [...document.querySelectorAll('style')]) style.remove()")
        self.assertTrue(self.ask(told))
        self.assertEqual(self.shown(), [[], []])

    def test_contrast_in_light_and_dark(self):
        colours = """(() => {
            const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
            const rgb = (colour) => {
              canvas.fillStyle = colour;
              canvas.fillRect(0, 0, 1, 1);
              return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
            };
            const card = document.querySelector("body > div");
            const [positive, negative] = card.querySelectorAll("path");
            const style = getComputedStyle(card);
            return [style.backgroundColor, style.color, getComputedStyle(positive).stroke,
                    getComputedStyle(negative).stroke].map(rgb);
        })()"""
        pages = {
            "light": ("light", "", ""),
            "dark": ("dark", "", ""),
            "dark JupyterLab, light system": ("light", "false", "#111"),
            "light JupyterLab, dark system": ("dark", "true", "#fff"),
        }
        for name, (scheme, light, background) in pages.items():
            with self.subTest(name), self.scheme(scheme):
                self.visit(self.page)
                if light:
                    self.driver.execute_script(
                        "document.body.dataset.jpThemeLight = arguments[0];"
                        "document.body.style.setProperty('--jp-layout-color1', arguments[1])",
                        light,
                        background,
                    )
                page, ink, positive, negative = self.ask(colours)
                dark = light == "false" or name == "dark"
                self.assertEqual(sum(page) < 200, dark, page)
                self.assertGreater(contrast(page, ink), 7)
                self.assertGreater(contrast(page, positive), 3)
                self.assertGreater(contrast(page, negative), 3)

    def test_on_a_phone(self):
        with self.phone():
            self.visit(self.page)
            self.assert_fits_a_phone()


def contrast(a, b):
    """The ratio of the Web Content Accessibility Guidelines."""

    def luminance(colour):
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


if __name__ == "__main__":
    unittest.main()
