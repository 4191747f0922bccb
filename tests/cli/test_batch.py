"""Many language models in one call, some of them bad, killed and resumed; one index page over all."""

import json
import os
import signal
import unittest

import numpy as np

from bilens_cli import TestCase, run, start, stop, wait_for
from language_models import write_llama

MODELS, BAD = 24, {3: "cut short", 11: "no weights", 17: "gated"}


class Batch(TestCase):
    def setUp(self):
        super().setUp()
        self.models, tokens = self.folder / "models", self.folder / "tokens.bin"
        for i in range(MODELS):
            write_llama(
                self.models / f"step-{i + 1}", layers=2, seed=i, act="silu" if BAD.get(i) == "gated" else "linear"
            )
        weights = self.models / "step-4/model.safetensors"
        os.truncate(weights, weights.stat().st_size // 2)
        (self.models / "step-12/model.safetensors").unlink()
        np.random.default_rng(0).integers(1, 300, 300).astype("<u2").tofile(tokens)
        data = {"dataset": "tokens", "path": str(tokens), "context": 32, "packing": "plain"}
        self.flags = (
            "--set",
            "k=4",
            "--set",
            'analyses=["tokens", "corpus"]',
            "--set",
            "corpus.tokens=256",
            "--set",
            "tokens.random_directions=50",
            "--set",
            "data=" + json.dumps(data),
        )

    def finished(self, out):
        return sorted(path.parent.name for path in out.glob("*/decomposition.json"))

    def check_whole(self, out, result):
        """Everything but the bad models is there, and these are named."""
        bad = [str(self.models / f"step-{i + 1}") for i in BAD]
        document = self.document(self.check(result, 3))
        self.assertEqual([failure["model"] for failure in document["failures"]], bad)
        self.assertIn("bilens finetune", document["failures"][2]["message"])
        self.assertEqual(len(document["results"]), MODELS - len(BAD))
        self.assertEqual(len(self.finished(out)), MODELS - len(BAD))

    def test_killed_in_the_middle_and_resumed_it_is_the_same(self):
        whole, killed = self.folder / "whole", self.folder / "killed"
        command = lambda out: ("decompose", self.models, "--out", out, "--json", *self.flags)
        self.check_whole(whole, run(*command(whole)))
        process = start(*command(killed))
        wait_for(lambda: len(self.finished(killed)) >= 3, process=process)
        stop(process, signal.SIGKILL)
        before = self.finished(killed)
        self.assertLess(len(before), MODELS - len(BAD))
        (killed / before[0] / "layer_1.progress.json").write_text(
            "{}"
        )  # as a kill leaves it between the last two files
        times = {name: (killed / name / "decomposition.json").stat().st_mtime_ns for name in before}
        self.check_whole(killed, run(*command(killed), "--resume"))
        for name in before:  # not done again
            self.assertEqual((killed / name / "decomposition.json").stat().st_mtime_ns, times[name])
        for name in self.finished(whole):
            for file in ("layer_0.safetensors", "layer_1.safetensors", "study.safetensors", "corpus.safetensors"):
                self.assertEqual(
                    (killed / name / file).read_bytes(), (whole / name / file).read_bytes(), f"{name}/{file}"
                )
            names = lambda out: {path.name for path in (out / name).iterdir()}
            self.assertEqual(names(killed), names(whole))

    def test_one_page_over_all(self):
        out = self.folder / "out"
        self.check(run("decompose", self.models, "--out", out, *self.flags), 3)
        result = self.document(self.check(run("report", out, "--out", self.folder / "page.html", "--json"), 0))[
            "results"
        ][0]
        self.assertEqual(result["models"], MODELS - len(BAD))
        self.assertLess(result["bytes"], 20e6)


if __name__ == "__main__":
    unittest.main()
