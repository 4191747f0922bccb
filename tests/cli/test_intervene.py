"""`bilens intervene` on a random bilinear model, held against the decoder written out in numpy."""

import itertools
import json
import shlex
import unittest

import numpy as np
from safetensors.numpy import load_file

from bilens_cli import TestCase, run, settings
from language_models import forward, write_llama

WINDOW, TOKENS = 16, 160
NEAR = 1e-5  # of losses, float32 in bilens


class Intervene(TestCase):
    def setUp(self):
        super().setUp()
        self.w = write_llama(self.folder / "model")
        self.ids = np.random.default_rng(0).integers(2, 300, 200)
        self.ids[::40] = 1  # documents
        self.text = self.tokens("tokens.bin", self.ids)
        self.out = self.decompose("decomposition", directions=3)

    def decompose(self, name, directions):
        out = self.folder / name
        flags = settings({"dtype": "float64", "k": 4, "analyses": []})
        flags += ["--set", "directions=" + json.dumps({"kind": "random", "count": directions, "seed": 0})]
        self.check(run("decompose", self.folder / "model", "--out", out, *flags), 0)
        return out

    def tokens(self, name, ids):
        path = self.folder / name
        ids.astype("<u2").tofile(path)
        return {"dataset": "tokens", "path": str(path), "context": WINDOW, "packing": "plain"}

    def intervene(self, *flags, expect=0, out=None):
        done = run(
            "intervene",
            out or self.out,
            "--json",
            "--set",
            "layer=0",
            "--set",
            "data=" + json.dumps(self.text),
            "--set",
            f"tokens={TOKENS}",
            "--set",
            "intervention.controls=1",
            *flags,
        )
        self.check(done, expect)
        return self.document(done)

    def numpy_effect(self, layer, direction, chosen, factor):
        """Mean loss, and how it changes, with the contributions times `factor`; the same of a logit difference; all
        changes of the loss."""
        file = load_file(self.out / f"layer_{layer}.safetensors")
        u, values, vectors = (
            file["directions"][direction],
            file["eigenvalues"][direction][chosen],
            file["eigenvectors"][direction][chosen],
        )

        def change(number, x, y):
            if number != layer:
                return y
            q = ((x @ vectors.T) ** 2) @ values
            return y + (factor - 1) * q[:, None] * u / (u @ u)

        losses, logits = [], []
        for first in range(0, TOKENS, WINDOW):
            window = self.ids[first : first + WINDOW]
            pair = [forward(self.w, window[:-1])[0], forward(self.w, window[:-1], change=change)[0]]
            log = [z - np.log(np.exp(z).sum(-1, keepdims=True)) for z in pair]
            losses.append([-row[np.arange(WINDOW - 1), window[1:]] for row in log])
            logits.append([z[:, 40] - z[:, 17] for z in pair])
        own, changed = np.concatenate(losses, 1)
        return own.mean(), (changed - own).mean(), np.subtract(*np.concatenate(logits, 1).mean(1)[::-1]), changed - own

    def numpy_interval(self, changes):
        """Half of the 95% interval of a mean over tokens, n = 4 documents of 40 tokens each."""
        places = np.concatenate([np.arange(first + 1, first + WINDOW) for first in range(0, TOKENS, WINDOW)])
        tokens, sums = np.bincount(places // 40), np.bincount(places // 40, changes)
        left = sums - changes.mean() * tokens
        return 3.1824463052837078 * np.sqrt(4 / 3 * (left**2).sum()) / tokens.sum()  # t.ppf(.975, 3)

    def numpy_flips(self, changes):
        """p of all sign flips of the four documents' sums, and how many there are."""
        places = np.concatenate([np.arange(first + 1, first + WINDOW) for first in range(0, TOKENS, WINDOW)])
        sums = np.bincount(places // 40, changes)
        signs = np.array(list(itertools.product([1, -1], repeat=len(sums))))
        return (abs(signs @ sums) >= abs(sums.sum()) - 1e-9).mean(), len(signs)

    def test_effects_are_numpys(self):
        for flags, factor in (
            (("--set", "intervention.change=zero"), 0),
            (("--set", "intervention.change=scale", "--set", "intervention.factor=3"), 3),
        ):
            found = self.intervene(
                "--set",
                "layer=1",
                "--set",
                "direction=2",
                "--set",
                "eigenvectors=[0, 2]",
                "--set",
                "plus=[40]",
                "--set",
                "minus=[17]",
                *flags,
            )
            result = found["results"][0]
            loss, change, logits, changes = self.numpy_effect(1, 2, [0, 2], factor)
            self.assertAlmostEqual(result["loss"], loss, delta=NEAR)
            own = result["effects"][0]
            self.assertEqual(
                (own["what"], result["tokens"], result["documents"]), ("eigenvectors", TOKENS - TOKENS // WINDOW, 4)
            )
            self.assertAlmostEqual(own["loss"]["mean"], change, delta=NEAR)
            self.assertAlmostEqual(own["logits"]["mean"], logits, delta=10 * NEAR)
            self.assertGreater(own["divergence"]["mean"], 0)
            half = self.numpy_interval(changes)
            self.assertGreater(half, 100 * NEAR)
            self.assertAlmostEqual(own["loss"]["high"] - own["loss"]["mean"], half, delta=10 * NEAR)
            self.assertAlmostEqual(own["loss"]["mean"] - own["loss"]["low"], half, delta=10 * NEAR)
            self.assertEqual(own["loss"]["documents"], 4)
            self.assertEqual((own["loss"]["flip_p"], own["loss"]["flips"]), self.numpy_flips(changes))
            self.assertEqual(
                [effect["what"] for effect in result["effects"][1:]],
                ["direction", "random, same eigenvalues", "random, same mean", "other eigenvectors"],
            )

    def test_eigenvectors_are_held_against_their_controls(self):
        result = self.intervene("--set", "layer=1", "--set", "eigenvectors=[0, 1]", "--set", "intervention.controls=3")[
            "results"
        ][0]
        own, direction, *controls = result["effects"]
        self.assertIsNone(own["difference"])
        for effect in (direction, *controls):
            for figure in ("loss", "divergence"):
                self.assertAlmostEqual(
                    effect["difference"][figure]["mean"], own[figure]["mean"] - effect[figure]["mean"], delta=1e-12
                )
                self.assertEqual(effect["difference"][figure]["documents"], 4)
            self.assertIsNone(effect["difference"]["logits"])
        self.assertEqual((result["intervention"]["looked_at"], result["wanted_p"]), (2, 0.025))
        for test in result["tests"]:
            kind = [effect["divergence"]["mean"] for effect in controls if effect["what"] == test["control"]]
            self.assertEqual(
                (test["controls"], test["smallest_p"], test["enough"]), (len(kind), 1 / (len(kind) + 1), False)
            )
            self.assertEqual(
                test["divergence"]["p"],
                (1 + sum(value >= own["divergence"]["mean"] for value in kind)) / (len(kind) + 1),
            )
            self.assertAlmostEqual(
                test["divergence"]["difference"]["mean"], own["divergence"]["mean"] - np.mean(kind), delta=1e-12
            )

    def test_by_default_p_of_05_is_possible_or_said_not_to_be(self):
        def answer(*flags):
            flags = (
                "--set",
                "data=" + json.dumps(self.text),
                "--set",
                f"tokens={WINDOW * 4}",
                "--set",
                "layer=1",
                *flags,
            )
            return self.check(run("intervene", self.out, *flags), 0).stdout

        one = answer()
        self.assertIn("random, same mean: p is 1/20 = 0.05 at least, so that p <= .05 is possible", one)
        self.assertIn(
            "other eigenvectors: p is 1/12 = 0.083 at least, so that p <= .05 is not possible: that takes 19 controls",
            one,
        )  # of 12 in the layer
        ten = answer("--set", "intervention.looked_at=10", "--set", "intervention.controls=19")
        self.assertIn("p <= 0.005 (.05 for each of 10 eigenvectors) is not possible: that takes 199 controls", ten)

    def test_other_eigenvectors_are_of_about_the_same_eigenvalue(self):
        result = self.intervene(
            "--set", "layer=1", "--set", "direction=2", "--set", "eigenvectors=[1]", "--set", "intervention.change=zero"
        )["results"][0]
        file = load_file(self.out / "layer_1.safetensors")
        values, vectors = file["eigenvalues"].flatten(), file["eigenvectors"].reshape(12, -1)
        own = 2 * 4 + 1
        near = sorted(set(range(12)) - {own}, key=lambda i: abs(abs(values[i]) - abs(values[own])))[:2]
        x = np.concatenate(
            [forward(self.w, self.ids[first : first + WINDOW - 1])[1][1][1] for first in range(0, TOKENS, WINDOW)]
        )
        sizes = [np.sqrt((values[i] ** 2 * (x @ vectors[i]) ** 4).mean()) for i in near]
        self.assertLess(min(abs(result["effects"][-1]["size"] / size - 1) for size in sizes), 1e-4)

    def test_no_eigenvector_is_twice_in_a_control(self):
        self.out = self.decompose("one", directions=1)
        flags = ("--set", "layer=1", "--set", "intervention.controls=5", "--set", "intervention.change=zero")
        effects = self.intervene("--set", "eigenvectors=[0, 1]", *flags)["results"][0]["effects"]
        others = [effect for effect in effects if effect["what"] == "other eigenvectors"]
        file = load_file(self.out / "layer_1.safetensors")
        x = np.concatenate(
            [forward(self.w, self.ids[first : first + WINDOW - 1])[1][1][1] for first in range(0, TOKENS, WINDOW)]
        )
        q = (x @ file["eigenvectors"][0, 2:].T) ** 2 @ file["eigenvalues"][0, 2:]  # what is left are these two
        self.assertEqual(len(others), 1)
        self.assertLess(abs(others[0]["size"] / np.sqrt((q**2).mean()) - 1), 1e-4)
        self.assertEqual(
            len(self.intervene("--set", "eigenvectors=[0, 1, 2]", *flags)["results"][0]["effects"]), 2 + 2 * 5
        )

    def test_values_of_another_text(self):
        other = json.dumps(self.tokens("other.bin", np.random.default_rng(1).integers(2, 300, 200)))
        patch = ("--set", "intervention.change=patch")
        self.assertNotEqual(
            self.intervene(*patch, "--set", f"source={other}")["results"][0]["effects"][0]["loss"]["mean"], 0
        )
        same = self.intervene(*patch, "--set", "source=" + json.dumps(self.text))["results"][0]
        self.assertEqual([effect["loss"]["mean"] for effect in same["effects"]], [0] * 5)
        # Whatever windows the source is given in, it is read in those of the text.
        given = self.intervene(*patch, "--set", f"source={other}")["results"][0]
        wider = self.intervene(
            *patch,
            "--set",
            "source=" + json.dumps({**json.loads(other), "context": 2 * WINDOW, "packing": "documents"}),
        )["results"][0]
        self.assertEqual(given["effects"], wider["effects"])
        self.assertEqual(
            (given["source"]["path"], given["data"]["path"]), (json.loads(other)["path"], self.text["path"])
        )
        self.assertEqual(given["intervention"]["change"], "patch")
        self.assertIn("source", self.message(*patch))
        self.assertIn("source", self.message("--set", f"source={other}"))
        short = json.dumps(self.tokens("short.bin", np.full(50, 7)))
        self.assertIn("predicted tokens", self.message(*patch, "--set", f"source={short}", expect=3))

    def message(self, *flags, expect=2, **options):
        return self.intervene(*flags, expect=expect, **options)["failures"][0]["message"]

    def test_words(self):
        done = run(
            "intervene", self.out, "--set", "layer=0", "--set", "data=" + json.dumps(self.text), "--set", "tokens=80"
        )
        self.assertIn("random, same mean", self.check(done, 0).stdout)
        self.assertIn("loss [95%, n = 2]", done.stdout)
        self.assertIn("KL [95%, n = 2], signs, rank", done.stdout)
        self.assertIn("signs: 4 flips over 2 documents: p is 0.5 at least", done.stdout)
        estimate = self.intervene("--dry-run")["estimate"]
        self.assertGreater(estimate["memory_bytes"], 0)
        self.assertGreater(estimate["seconds"], 0)

    def test_one_of_several_layers_has_to_be_named(self):
        flags = ("--set", "data=" + json.dumps(self.text), "--set", "tokens=80")
        done = self.check(run("intervene", self.out, *flags), 2, "(0, 1, 2), found none named")
        call = shlex.split(done.stderr.split("`")[1])
        self.assertEqual(call, ["bilens", "intervene", str(self.out), "--set", "layer=2"])
        self.check(run(*call[1:], *flags), 0)
        # The only one there is needs no name, whatever its number.
        self.check(
            run(
                "decompose",
                self.folder / "model",
                "--out",
                self.folder / "single",
                "--set",
                "layers=[2]",
                "--set",
                "k=4",
                "--set",
                "analyses=[]",
            ),
            0,
        )
        self.assertIn("layer 2,", self.check(run("intervene", self.folder / "single", *flags), 0).stdout)

    def test_along_an_axis(self):
        self.out = self.folder / "axes"
        self.check(
            run("decompose", self.folder / "model", "--out", self.out, "--set", "k=4", "--set", "analyses=[]"), 0
        )
        result = self.intervene("--set", "layer=2", "--set", "direction=5")["results"][0]
        self.assertEqual(result["direction"], "5")
        self.assertGreater(result["effects"][0]["size"], 0)

        # All of the output along axis 5 in the place of its mean.
        def change(number, x, y):
            if number == 2:
                y[:, 5] = mean
            return y

        windows = [self.ids[first : first + WINDOW] for first in range(0, TOKENS, WINDOW)]
        mean = np.concatenate([forward(self.w, window[:-1])[1][2][2][:, 5] for window in windows]).mean()

        def loss(**options):
            log = [
                (z - np.log(np.exp(z).sum(-1, keepdims=True)))
                for z in (forward(self.w, window[:-1], **options)[0] for window in windows)
            ]
            return -np.mean([row[np.arange(WINDOW - 1), window[1:]] for row, window in zip(log, windows)])

        self.assertAlmostEqual(result["effects"][1]["loss"]["mean"], loss(change=change) - loss(), delta=NEAR)

    def test_bad_input(self):
        one, self.text = self.text, self.tokens("single.bin", np.array([7]))
        self.assertIn("at least 2 tokens", self.message(expect=3))
        self.text = one
        named = [
            part
            for role in ("gate", "up", "down")
            for part in ("--set", f"weights.{role}=model.layers.2.mlp.{role}_proj.weight")
        ]
        self.check(
            run(
                "decompose",
                self.folder / "model",
                "--out",
                self.folder / "named",
                "--set",
                "k=4",
                "--set",
                "analyses=[]",
                *named,
            ),
            0,
        )
        self.assertIn("weights.gate", self.message(out=self.folder / "named", expect=3))
        self.assertIn("0 twice", self.message("--set", "eigenvectors=[0, 0]"))
        self.assertIn("layer", self.message("--set", "layer=9"))
        self.assertIn("below 3", self.message("--set", "direction=3"))
        self.assertIn("below 4", self.message("--set", "eigenvectors=[4]"))
        self.assertIn("intervention.change", self.message("--set", "intervention.change=remove"))
        self.assertIn("decomposition.json", self.message(out=self.folder / "model", expect=3))
        description = self.out / "decomposition.json"
        whole = description.read_text()
        for change in ({"minus": None, "config": None}, {"model": 3}, {"format_version": "1"}, {"config": {}}):
            description.write_text(json.dumps(json.loads(whole) | change))
            self.assertIn("decomposition.json", self.message(expect=3))
        broken = json.loads(whole)
        broken["layers"][0]["direction_names"] = ["one"]
        description.write_text(json.dumps(broken))
        self.assertIn("direction_names", self.message(expect=3))
        broken = json.loads(whole)
        broken["layers"][0]["d_out"] = 3
        description.write_text(json.dumps(broken))
        self.assertIn("directions", self.message(expect=3))
        description.write_text(whole.replace(json.loads(whole)["model_sha256"], "0" * 64))
        self.assertIn("the weights that were decomposed", self.message(expect=3))


if __name__ == "__main__":
    unittest.main()
