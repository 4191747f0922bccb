"""The report of a language model's decomposition on text, in headless Chromium, against what the command printed."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run
from language_models import write_llama
from pages import InBrowser, assert_self_contained


def decompose(folder):
    """A random bilinear model of three layers, its top four eigenpairs on random tokens; the command's summary."""
    write_llama(folder / "model", bias=True)
    np.random.default_rng(0).integers(1, 40, 400).astype("<u2").tofile(folder / "tokens.bin")
    data = {"dataset": "tokens", "path": str(folder / "tokens.bin"), "context": 16, "packing": "plain"}
    done = run(
        "decompose",
        folder / "model",
        "--out",
        folder / "decomposition",
        "--json",
        "--set",
        "k=4",
        "--set",
        'analyses=["corpus"]',
        "--set",
        "data=" + json.dumps(data),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["results"][0]["layers"]


class CorpusFiles(TestCase):
    def test_a_damaged_study_is_refused(self):
        decompose(self.folder)
        out = self.folder / "decomposition"
        tensors = load_file(out / "corpus.safetensors")
        save_file(tensors | {"layer_1.histogram.edges": np.zeros((2, 2))}, out / "corpus.safetensors")
        self.check(run("report", out, "--out", self.folder / "page.html"), 3, "layer_1.histogram.edges")
        (out / "corpus.json").write_text(json.dumps({"format": "bilens-corpus", "format_version": 2}))
        self.check(run("report", out, "--out", self.folder / "page.html"), 3, "corpus.json")
        self.assertFalse((self.folder / "page.html").exists())


class CorpusPage(InBrowser):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.layers = decompose(cls.folder)
        cls.page = cls.folder / "page.html"
        done = run("report", cls.folder / "decomposition", "--out", cls.page)
        assert done.returncode == 0, done.stderr
        assert_self_contained(cls.page)

    def test_the_page_opens_with_the_shares(self):
        self.visit(self.page)
        opening = self.text(".shares")
        for part in ("quadratic", "linear", "constant"):
            said = opening.split(part + " ")[1].split(";")[0].rstrip(".").split(", ")
            self.assertEqual(len(said), 3)
            for text, layer in zip(said, self.layers):
                self.assertAlmostEqual(float(text.rstrip("%")) / 100, layer["corpus"][part], delta=1e-3)

    def test_the_table_says_what_the_command_did(self):
        self.visit(self.page)
        rows = self.cells("#corpus-1 tbody tr")
        self.assertEqual([row[0] for row in rows], ["0", "1", "2"])
        for row, layer in zip(rows, self.layers):
            found = layer["corpus"]
            self.assertEqual((row[1], row[8]), ("16", "4"))
            for text, part in zip(row[2:5], ("quadratic", "linear", "constant")):
                self.assertAlmostEqual(float(text.rstrip("%")) / 100, found[part], delta=1e-3)
            for text, value in zip(row[5:8], (found["form_r2"], found["r2"][-1], found["correlation"][-1])):
                self.assertAlmostEqual(float(text.replace("−", "-")), value, delta=1e-3)
            self.assertAlmostEqual(float(row[9].replace("−", "-")), found["active"]["r2"][-1], delta=1e-3)
            self.assertAlmostEqual(float(row[10].rstrip("%")) / 100, found["active"]["share"], delta=1e-3)
            self.assertEqual(len(row), 11)  # nothing of surrogates
        self.assertIn(f"{self.layers[0]['corpus']['tokens']} tokens", self.text("#corpus-1"))

    def test_a_line_a_layer_over_the_eigenpairs_kept(self):
        self.visit(self.page)
        titles = self.texts("#corpus-1 circle title")
        self.assertEqual(len(titles), 3 * 5)
        self.assertTrue(titles[0].startswith("layer 0, k = 0: "), titles[0])

    def test_a_surrogate_says_how_far_it_is_off(self):
        write_llama(self.folder / "gated", act="silu")
        data = {"dataset": "tokens", "path": str(self.folder / "tokens.bin"), "context": 16, "packing": "plain"}
        flags = (
            "--set",
            "k=2",
            "--set",
            'analyses=["corpus"]',
            "--set",
            "corpus.tokens=200",
            "--set",
            "surrogate=calibrated",
            "--set",
            "corpus.loss_tokens=64",
            "--set",
            "data=" + json.dumps(data),
        )
        done = run("decompose", self.folder / "gated", "--out", self.folder / "surrogate", "--json", *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        layer = json.loads(done.stdout)["results"][0]["layers"][0]["corpus"]
        found = layer["surrogate"]
        self.assertEqual(
            run("report", self.folder / "surrogate", "--out", self.folder / "surrogate.html").returncode, 0
        )
        self.visit(self.folder / "surrogate.html")
        cells = self.ask("[...document.querySelector('#corpus-1 tbody tr').cells].map((cell) => cell.textContent)")
        np.testing.assert_allclose([float(cell) for cell in cells[11:]], [found["error"], found["bound"]], atol=1e-3)
        self.assertIn("stand for gated ones", self.text("#corpus-1"))
        *_, losses = self.circle_titles("#corpus-1 figure")
        self.assertEqual(len(losses), 3 * 3)  # k of 0, 1, 2 in three layers
        shown = [float(text.split(": ")[1].replace("−", "-")) for text in losses[:3]]
        np.testing.assert_allclose(
            shown, [interval["mean"] for interval in layer["losses"]["change"]], rtol=0.06, atol=1e-3
        )

    def test_an_eigenvector_shows_where_its_projection_is_largest(self):
        self.visit(self.page)
        out = self.folder / "decomposition"
        tensors = load_file(out / "corpus.safetensors")
        places, projections = tensors["layer_0.contexts.places"][0, 0], tensors["layer_0.contexts.projections"][0, 0]
        self.assertEqual(
            self.texts("ol.contexts mark"), [f"#{token}" for token in tensors["tokens"][places[places >= 0]]]
        )
        shown = [float(text.replace("−", "-")) for text in self.texts("ol.contexts .number")]
        np.testing.assert_allclose(shown, projections[places >= 0], rtol=0.06)  # two digits
        quantiles = [float(text.replace("−", "-")) for text in self.texts("ul.contexts .number")]
        np.testing.assert_allclose(quantiles, tensors["layer_0.quantiles.projections"][0, 0], rtol=0.06, atol=1e-3)
        self.assertEqual(self.texts(".quantile"), ["1%", "5%", "25%", "50%", "75%", "95%", "99%"])
        # What stands before is of the same window.
        window = json.loads((out / "corpus.json").read_text())["window"]
        first = int(places[0, 0])
        before = tensors["tokens"][max(first // window * window, first - 12) : first]
        self.assertTrue(
            self.texts(".contexts .context")[0].startswith(
                "".join(f"#{token}" for token in before) + f"#{tensors['tokens'][first]}"
            )
        )
        self.assertEqual(len(self.ask("[...document.querySelectorAll('.histogram rect')]")), 24)


if __name__ == "__main__":
    unittest.main()
