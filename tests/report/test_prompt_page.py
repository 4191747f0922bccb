"""Opens the page of `bilens explain --prompt --out` in headless Chromium, holds it against the two files beside it."""

import json
import shutil
import unittest

import numpy as np
from safetensors.numpy import load_file

from bilens_cli import run
from language_models import write_llama
from pages import HOSTILE, InBrowser, assert_self_contained
from texts import TextCase


class PromptFiles(TextCase):
    story_count, vocabulary_size = 300, 300

    def explained(self, name, act="linear", prompt="the cat sat", bias=False):
        folder = self.folder / name
        write_llama(folder / "model", act=act, bias=bias)
        shutil.copy(self.tokenizer / "tokenizer.model", folder / "model")
        flags = ("--surrogate", "half") if act != "linear" else ()
        self.check(
            run(
                "explain",
                folder / "model",
                "--prompt",
                prompt,
                "--logit",
                40,
                "--minus",
                17,
                "--out",
                folder / "why",
                *flags,
            ),
            0,
        )
        return folder / "why"

    def test_the_page_is_named_and_loads_nothing(self):
        out = self.explained("plain", prompt="the " + HOSTILE)
        assert_self_contained(out / "explanation.html")
        done = run("explain", self.folder / "plain/model", "--prompt", "a dog", "--out", self.folder / "again")
        self.assertIn(str(self.folder / "again/explanation.html"), done.stdout)

    def test_report_names_the_page(self):
        self.check(run("report", self.explained("named")), 3, "explanation.html")


class PromptPage(InBrowser):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        PromptFiles.setUpClass()
        cls.addClassCleanup(PromptFiles.doClassCleanups)
        made = PromptFiles("setUp")
        made.setUp()
        cls.addClassCleanup(made.doCleanups)
        cls.bilinear, cls.gated = made.explained("bilinear", bias=True), made.explained("gated", act="silu")
        cls.json = json.loads((cls.bilinear / "explanation.json").read_text())

    def numbers(self, selector):
        return [float(text.replace("−", "-").replace("+", "")) for text in self.texts(selector)]

    def test_the_head(self):
        self.visit(self.bilinear / "explanation.html")
        self.assertIn(f"{self.json['token']} minus {self.json['minus']}: ", self.text("h1"))
        self.assertEqual(self.texts(".prompt span"), [*self.json["tokens"], self.json["token"]])
        self.assertEqual(self.texts(".notice"), [])
        self.assertIn("rounding", self.text(".check"))

    def test_the_rows_add_up_and_are_those_of_the_file(self):
        for out, parts in (
            (self.bilinear, ("attention", "eigenvectors", "linear")),
            (self.gated, ("attention", "eigenvectors", "remainder")),
        ):
            about = json.loads((out / "explanation.json").read_text())
            self.visit(out / "explanation.html")
            values = self.ask(
                "[...document.querySelectorAll('.waterfall rect title')].map((title) => title.textContent)"
            )
            shown = [
                float(text.split(": ")[1].replace("−", "-").replace("+", "")) for text in values if "×10" not in text
            ]
            expected = [about["embedding"], *(layer[part] for layer in about["layers"] for part in parts), about["sum"]]
            self.assertEqual(len(values), len(expected))
            if len(shown) == len(values):
                np.testing.assert_allclose(shown, expected, rtol=6e-3)
            self.assertAlmostEqual(sum(expected[:-1]), expected[-1], delta=1e-9)
            rows = self.cells(".parts tbody tr")
            self.assertEqual([row[0] for row in rows], ["0", "1", "2", "All layers"])
            ends = self.ask("""(() => {
                const last = (part) => [...document.querySelectorAll(part)].at(-1).getBoundingClientRect();
                const bar = last('.waterfall rect');
                return [last('.waterfall .wire').left, bar.left, bar.right]; })()""")
            self.assertLess(min(abs(ends[0] - ends[1]), abs(ends[0] - ends[2])), 2)

    def test_the_terms_have_their_tokens_and_their_vectors(self):
        self.visit(self.bilinear / "explanation.html")
        terms = self.json["terms"]
        self.assertEqual(
            self.texts(".terms b"), [f"Layer {term['layer']}, eigenvector {term['index']}" for term in terms]
        )
        self.assertEqual(
            self.texts(".terms > li:first-child .side span"), [token for side in terms[0]["nearest"] for token in side]
        )
        saved = self.saved(".terms > li:first-child .exports button:last-child").split("\r\n")[1:-1]
        vector = load_file(self.bilinear / "explanation.safetensors")["term_0"]
        np.testing.assert_allclose([float(line.split(",")[1]) for line in saved], vector, atol=abs(vector).max() / 250)

    def test_a_surrogate_is_said_first(self):
        self.visit(self.gated / "explanation.html")
        self.assertIn("A surrogate", self.text(".notice"))
        self.assertIn("P(½Wx ⊙ Vx)", self.text(".notice"))
        self.assertIn("silu", self.text(".notice"))
        self.assertTrue(
            self.ask(
                "['.notice', '.lead'].map((part) => document.querySelector(part).getBoundingClientRect().top)"
                ".reduce((notice, lead) => notice < lead)"
            )
        )

    def test_it_fits_a_phone_and_a_dark_room(self):
        with self.phone():
            self.visit(self.gated / "explanation.html")
            self.assert_fits_a_phone()
        with self.scheme("dark"):
            self.visit(self.gated / "explanation.html")
            self.assertEqual(self.ask("document.documentElement.dataset.theme"), "dark")


if __name__ == "__main__":
    unittest.main()
