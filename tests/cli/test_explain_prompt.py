"""Logits behind a prompt as sums, held against the decoder written out in numpy."""

import json
import shlex
import unittest

import numpy as np
from safetensors.numpy import load_file

from bilens_cli import run
from language_models import forward, interaction_matrix, write_llama
from texts import TextCase

NEAR = 1e-4  # of logits of a few nats, which bilens computes in float32


class ExplainPrompt(TextCase):
    story_count, vocabulary_size = 300, 300

    def model(self, name="model", **options):
        w = write_llama(self.folder / name, **options)
        (self.folder / name / "tokenizer.model").write_bytes((self.tokenizer / "tokenizer.model").read_bytes())
        return self.folder / name, w

    def explain(self, model, *flags, expect=0):
        done = run("explain", model, "--json", *flags)
        self.check(done, expect)
        return self.document(done)

    def ids(self, model, result):
        """The tokens of the prompt, by the names that were printed."""
        vocabulary = self.vocabulary(model)
        return [vocabulary.index(name) for name in result["tokens"]]

    def vocabulary(self, model):
        out = self.folder / f"{model.name}-names"
        if not out.exists():
            self.check(
                run(
                    "decompose",
                    model,
                    "--out",
                    out,
                    "--set",
                    'analyses=["tokens"]',
                    "--set",
                    "layers=[0]",
                    "--set",
                    "surrogate=half",
                    "--set",
                    'directions={"kind": "random", "count": 1, "seed": 0}',
                ),
                0,
            )
        return json.loads((out / "study.json").read_text())["vocabulary"]

    def test_the_sum_is_the_logit_difference_and_its_parts_are_numpys(self):
        for act, bias in (("linear", False), ("linear", True), ("silu", False)):
            with self.subTest(act=act, bias=bias):
                model, w = self.model(f"{act}{bias}", act=act, bias=bias)
                surrogate = ("--surrogate", "half") if act == "silu" else ()
                result = self.explain(model, "--prompt", "the cat sat", "--logit", 40, "--minus", 17, *surrogate)[
                    "results"
                ][0]
                self.assertEqual(result["surrogate"] and result["surrogate"]["kind"], "half" if act == "silu" else None)
                tokens = self.ids(model, result)
                logits, parts, h = forward(w, tokens, act=act)
                expected = logits[-1, 40] - logits[-1, 17]
                self.assertAlmostEqual(result["logit"], expected, delta=NEAR)
                self.assertAlmostEqual(result["sum"], expected, delta=NEAR)
                rms = np.sqrt((h[-1] ** 2).mean() + 1e-5)
                self.assertAlmostEqual(result["rms"], rms, delta=NEAR)
                u = (w["lm_head.weight"][40] - w["lm_head.weight"][17]) * w["model.norm.weight"] / rms
                self.assertAlmostEqual(result["embedding"], w["model.embed_tokens.weight"][tokens[-1]] @ u, delta=NEAR)
                contributions = []
                for layer, (attention, x, y) in zip(result["layers"], parts):
                    q = interaction_matrix(w, layer["layer"], u, half=act == "silu")
                    quadratic = x[-1] @ q @ x[-1]
                    self.assertAlmostEqual(layer["attention"], attention[-1] @ u, delta=NEAR)
                    self.assertAlmostEqual(layer["eigenvectors"], quadratic, delta=NEAR)
                    rest = layer["remainder"] if act == "silu" else layer["linear"]
                    self.assertAlmostEqual(rest, y[-1] @ u - quadratic, delta=NEAR)
                    self.assertEqual(layer["linear"] != 0, bias)
                    self.assertEqual(layer["remainder"] != 0, act == "silu")
                    values, vectors = np.linalg.eigh(q)
                    contributions.extend(values * (vectors.T @ x[-1]) ** 2)
                largest = sorted(contributions, key=abs, reverse=True)[:20]
                np.testing.assert_allclose([term["contribution"] for term in result["terms"]], largest, atol=NEAR)
                self.assertAlmostEqual(result["other_terms"], sum(contributions) - sum(largest), delta=NEAR)

    def test_a_gated_model_asks_for_what_is_to_stand_for_it(self):
        model, _ = self.model("it's gated", act="silu")
        flags = ("--prompt", "the cat's", "--logit", 40, "--minus", 17)
        for refusing in ((), ("--surrogate", "none"), ("--dry-run",)):
            done = self.check(run("explain", model, *flags, *refusing), 3, '"silu"', "bilens finetune")
            self.assertNotIn("remainder    ", done.stdout)
        call = shlex.split(done.stderr.split("`")[1])
        self.assertEqual(call, ["bilens", "explain", str(model), *map(str, flags), "--surrogate", "half"])
        self.assertIn("surrogate: The bilinear part of a gated layer", self.check(run(*call[1:]), 0).stdout)
        self.assertIn(
            "calibrate", self.explain(model, *flags, "--surrogate", "calibrated", expect=2)["failures"][0]["message"]
        )
        self.assertIn("no --prompt", self.explain(model, "--surrogate", "half", expect=2)["failures"][0]["message"])
        bilinear, _ = self.model("bilinear")
        self.assertIsNone(self.explain(bilinear, *flags, "--surrogate", "half")["results"][0]["surrogate"])

    def test_an_eigenvector_is_that_of_the_decomposition(self):
        model, _ = self.model("same")
        result = self.explain(
            model, "--prompt", "the cat sat", "--logit", 40, "--minus", 17, "--out", self.folder / "same-why"
        )["results"][0]
        self.check(
            run(
                "decompose",
                model,
                "--out",
                self.folder / "same-out",
                "--set",
                "k=all",
                "--set",
                "dtype=float64",
                "--set",
                "analyses=[]",
                "--set",
                'directions={"kind": "tokens", "plus": [40], "minus": [17]}',
            ),
            0,
        )
        vectors = load_file(self.folder / "same-why" / "explanation.safetensors")
        for i, term in enumerate(result["terms"]):
            layer = load_file(self.folder / "same-out" / f"layer_{term['layer']}.safetensors")
            self.assertAlmostEqual(
                layer["eigenvalues"][0][term["index"]] / result["rms"], term["eigenvalue"], delta=1e-6
            )
            self.assertAlmostEqual(abs(layer["eigenvectors"][0][term["index"]] @ vectors[f"term_{i}"]), 1, delta=1e-6)

    def test_without_tokens_the_likeliest_is_held_against_the_mean(self):
        model, w = self.model()
        result = self.explain(model, "--prompt", "a dog")["results"][0]
        logits = forward(w, self.ids(model, result))[0][-1]
        self.assertEqual(result["token"], self.vocabulary(model)[int(logits.argmax())])
        self.assertIsNone(result["minus"])
        self.assertAlmostEqual(result["sum"], logits.max() - logits.mean(), delta=NEAR)

    def test_files(self):
        model, _ = self.model()
        out = self.folder / "why"
        result = self.explain(model, "--prompt", "a dog", "--out", out)["results"][0]
        about = json.loads((out / "explanation.json").read_text())
        self.assertEqual(
            (about["format"], about["prompt"], about["sum"]), ("bilens-prompt-explanation", "a dog", result["sum"])
        )
        self.assertEqual(about["terms"], result["terms"])
        self.assertTrue(all(term["nearest"] for term in about["terms"]))
        vectors = load_file(out / "explanation.safetensors")
        self.assertEqual(len(vectors), len(about["terms"]))
        np.testing.assert_allclose([np.linalg.norm(v) for v in vectors.values()], 1, atol=1e-10)
        text = run("explain", model, "--prompt", "a dog").stdout
        self.assertIn("largest contributions of eigenvectors", text)

    def test_bad_input(self):
        model, w = self.model()
        message = lambda *flags, expect=2: self.explain(model, *flags, expect=expect)["failures"][0]["message"]
        self.assertIn("--prompt", message())  # neither an image nor a text
        self.assertIn("both", message("--prompt", "a dog", "--input", "test:0"))
        self.assertIn("no --prompt", message("--logit", 3))
        self.assertIn("another token", message("--prompt", "a dog", "--logit", 3, "--minus", 3))
        likeliest = int(
            forward(w, self.ids(model, self.explain(model, "--prompt", "a dog")["results"][0]))[0][-1].argmax()
        )
        self.assertIn("the likeliest next one", message("--prompt", "a dog", "--minus", likeliest))
        self.assertIn("one token", message("--prompt", "a dog", "--logit", "dogmatically"))
        self.assertIn("from 0 to 299", message("--prompt", "a dog", "--minus", 300))
        self.assertIn("at most 64 tokens", message("--prompt", "a dog " * 100))
        (model / "tokenizer.model").unlink()
        self.assertIn("tokenizer", message("--prompt", "a dog", expect=3))
        estimate = self.explain(self.model("dry")[0], "--prompt", "a dog", "--dry-run")["estimate"]
        self.assertGreater(estimate["memory_bytes"], 0)
        self.assertGreater(estimate["seconds"], 0)


if __name__ == "__main__":
    unittest.main()
