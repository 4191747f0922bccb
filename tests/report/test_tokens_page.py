"""The report of a language model's eigenvectors in tokens, in headless Chromium, against study.safetensors."""

import json
import unittest
from xml.etree import ElementTree

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run
from language_models import write_llama
from pages import InBrowser, assert_self_contained

DIRECTIONS = {"kind": "tokens", "plus": [40, 41], "minus": [7]}


def decompose(folder):
    """A random bilinear model of three layers along a difference of tokens, its top four eigenpairs in tokens."""
    write_llama(folder / "model")
    done = run(
        "decompose",
        folder / "model",
        "--out",
        folder / "decomposition",
        "--set",
        "k=4",
        "--set",
        'analyses=["tokens"]',
        "--set",
        "directions=" + json.dumps(DIRECTIONS),
    )
    assert done.returncode == 0, done.stderr


class TokenFiles(TestCase):
    def test_a_damaged_study_is_refused(self):
        decompose(self.folder)
        out = self.folder / "decomposition"
        tensors, path = load_file(out / "study.safetensors"), out / "study.safetensors"
        report = lambda: run("report", out, "--out", self.folder / "page.html")
        for name, wrong in (
            ("layer_0.cards.embedding.ids", np.full_like(tensors["layer_0.cards.embedding.ids"], 300)),
            ("layer_0.cards.embedding.ids", tensors["layer_0.cards.embedding.ids"][:, :1]),
            ("layer_0.cards.embedding.cosines", np.zeros((1, 4, 2, 3))),
            ("layer_0.interactions.tokens", np.zeros((1, 2, 3), np.int32)),
            ("layer_0.permuted_eigenvalues", np.zeros(0)),
        ):
            save_file(tensors | {name: wrong}, path)
            self.check(report(), 3, name.removesuffix(".ids"))  # or of what should be as long
        save_file({key: value for key, value in tensors.items() if key != "layer_1.random_card.unembedding.ids"}, path)
        self.check(report(), 3, "layer_1.random_card.unembedding.ids")
        self.assertFalse((self.folder / "page.html").exists())


class TokensPage(InBrowser):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        decompose(cls.folder)
        cls.page = cls.folder / "page.html"
        done = run("report", cls.folder / "decomposition", "--out", cls.page)
        assert done.returncode == 0, done.stderr
        assert_self_contained(cls.page)
        cls.tensors = load_file(cls.folder / "decomposition/study.safetensors")

    def names(self, ids):
        return [f"#{token}" for token in ids.flatten()]

    def test_a_card_shows_the_nearest_tokens_of_both_bases_and_sides(self):
        self.visit(self.page, "#model-1/layer-1/direction-0/eigenvector-1")
        card = ".on-tokens > .token-card"
        expected = np.concatenate(
            [self.tensors[f"layer_1.cards.{basis}.ids"][0, 1] for basis in ("embedding", "unembedding")]
        )
        self.assertEqual(self.texts(f"{card} .token"), self.names(expected))
        cosines = np.concatenate(
            [self.tensors[f"layer_1.cards.{basis}.cosines"][0, 1] for basis in ("embedding", "unembedding")]
        ).flatten()
        shown = [float(text.replace("−", "-")) for text in self.texts(f"{card} .number:not(.worth)")]
        np.testing.assert_allclose(shown, cosines, rtol=0.06)
        quantiles = np.concatenate(
            [self.tensors[f"layer_1.cards.{basis}.quantiles"][0, 1] for basis in ("embedding", "unembedding")]
        ).flatten()
        np.testing.assert_allclose(
            [float(text.rstrip("%")) / 100 for text in self.texts(f"{card} .worth")], quantiles, atol=1e-3
        )
        self.assertIn("not this layer's own", self.text(".on-tokens"))  # a middle layer

    def test_controls_stand_beside_it(self):
        self.visit(self.page)
        controls = self.texts(".on-tokens details .token")
        expected = [
            self.tensors[f"layer_0.{card}.{basis}.ids"]
            for card in ("random_card", "permuted_cards")
            for basis in ("embedding", "unembedding")
        ]
        self.assertEqual(controls, [name for ids in expected for name in self.names(ids)])

    def test_directions_go_by_their_tokens(self):
        self.visit(self.page)
        name = json.loads((self.folder / "decomposition/decomposition.json").read_text())["layers"][0][
            "direction_names"
        ][0]
        self.assertIn("#40", name)
        self.assertIn(name, self.text(".selected-head h4"))
        self.assertIn(f"Spectrum of {name}", self.text(".spectrum h4"))

    def test_interactions_as_heatmap_and_table(self):
        self.visit(self.page)
        pairs, values = self.tensors["layer_0.interactions.tokens"][0], self.tensors["layer_0.interactions.values"][0]
        rows = self.cells(".interactions tbody tr")
        self.assertEqual([row[:2] for row in rows], [self.names(pair) for pair in pairs])
        np.testing.assert_allclose([float(row[2].replace("−", "-")) for row in rows], values, rtol=0.01)
        tokens = list(dict.fromkeys(self.names(pairs)))[:24]
        self.assertEqual(
            self.ask("[...document.querySelectorAll('.heatmap > text[text-anchor]')].map((node) => node.textContent)"),
            tokens,
        )
        inside = [pair for pair in pairs if set(self.names(pair)) <= set(tokens)]
        self.assertEqual(
            self.ask("document.querySelectorAll('.heatmap rect').length"), sum(1 if a == b else 2 for a, b in inside)
        )

    def test_figures_are_saved_as_svg_and_csv(self):
        self.visit(self.page)
        lines = self.saved(".interaction-figure .exports button:last-child").split("\r\n")
        self.assertEqual((lines[0], len(lines)), ("token,token,interaction,known to", 22))
        first = lines[1].split(",")
        self.assertEqual(first[:2], self.names(self.tensors["layer_0.interactions.tokens"][0, 0]))
        self.assertAlmostEqual(
            float(first[2]), self.tensors["layer_0.interactions.values"][0, 0], delta=1e-4 * abs(float(first[2]))
        )
        for figure in (".interaction-figure", ".spectrum"):
            drawing = ElementTree.fromstring(self.saved(f"{figure} .exports button:first-child"))
            self.assertEqual(drawing.tag, "{http://www.w3.org/2000/svg}svg")
            self.assertGreater(float(drawing.get("width")), 100)
            bars = [part.get("style") for part in drawing.iter("{http://www.w3.org/2000/svg}rect")]
            self.assertTrue(
                bars and all("fill: rgb" in style for style in bars)
            )  # as on the page, without its style sheet

    def test_an_eigenvector_is_saved(self):
        self.visit(self.page, "#model-1/layer-1/direction-0/eigenvector-1")
        lines = self.saved(".selected .exports button:last-child").split("\r\n")[1:-1]
        vector = load_file(self.folder / "decomposition/layer_1.safetensors")["eigenvectors"][0, 1]
        found = [float(line.split(",")[1]) for line in lines]
        np.testing.assert_allclose(found, vector, atol=abs(vector).max() / 253)
        drawing = ElementTree.fromstring(self.saved(".selected .exports button:first-child"))
        bars = [bar for bar in drawing.iter("{http://www.w3.org/2000/svg}rect") if bar.get("class") == "component"]
        self.assertEqual(len(bars), len(vector))
        heights = np.array([float(bar.get("height")) for bar in bars])
        np.testing.assert_allclose(heights / heights.max(), abs(vector) / abs(vector).max(), atol=1 / 253)

    def test_search_opens_the_card_it_found(self):
        self.visit(self.page)
        token = self.names(self.tensors["layer_2.cards.embedding.ids"][0, 3])[0]
        self.search(token)
        hits = self.texts(".found button")
        expected = [
            f"Layer {layer}, {name}, eigenvector {k}"
            for layer in range(3)
            for k in range(4)
            for name in [
                json.loads((self.folder / "decomposition/decomposition.json").read_text())["layers"][0][
                    "direction_names"
                ][0]
            ]
            if any(
                token in other
                for basis in ("embedding", "unembedding")
                for other in self.names(self.tensors[f"layer_{layer}.cards.{basis}.ids"][0, k])
            )
        ]
        self.assertEqual(hits, expected)
        self.ask("[...document.querySelectorAll('.found button')].at(-1).click()")
        self.assertEqual(self.text(".selected-head h4"), hits[-1].split(", ", 1)[1])
        self.assertTrue(self.ask("location.hash").startswith(f"#model-1/layer-{hits[-1].split()[1].rstrip(',')}/"))
        self.search("nowhere")
        self.assertEqual((self.texts(".found li"), self.text(".search .note")), ([], "0 eigenvectors"))

    def test_it_fits_a_phone_and_a_dark_room(self):
        with self.phone():
            self.visit(self.page)
            self.assert_fits_a_phone()
        with self.scheme("dark"):
            self.visit(self.page)
            self.assertEqual(self.ask("document.documentElement.dataset.theme"), "dark")


if __name__ == "__main__":
    unittest.main()
