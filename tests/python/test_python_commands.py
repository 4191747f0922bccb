"""Commands as functions: the results of the command line, and runs that either begins and the other ends."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import unittest

import numpy as np

from bilens_cli import TestCase, files_below, read_metrics, run, test_data
from language_models import write_llama
from python_package import bilens

TIMES = ("images_per_second", "tokens_per_second", "seconds", "peak_memory_bytes", "mfu", "peak_memory")


def timeless(value):
    """Without what depends on the machine and the moment."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


class Commands(TestCase):
    def result(self, *command):
        return timeless(self.document(self.check(run(*command, "--json"), 0))["results"][0])

    def same(self, found, *command):
        self.assertEqual(timeless(json.loads(json.dumps(found))), self.result(*command))

    def test_images(self):
        config = self.small_config()
        bilens.train(config, out=self.folder / "ours")
        self.check(run("train", config, "--out", self.folder / "theirs"), 0)
        ours, theirs = (files_below(self.folder / name / "model") for name in ("ours", "theirs"))
        self.assertEqual(ours, theirs)
        self.assertTrue(ours)
        model = self.folder / "ours/model"
        self.same(bilens.evaluate(model)[0], "evaluate", model)
        self.same(bilens.inspect(model), "inspect", model)
        self.same(bilens.attack(model, images=5), "attack", model, "--set", "images=5")
        bilens.decompose(model, out=model.parent / "decomposition", k=2)
        self.same(bilens.explain_image(model, "test:3"), "explain", model, "--input", "test:3")

    def test_language_models(self):
        model = self.folder / "model"
        write_llama(model)
        ids = np.random.default_rng(0).integers(2, 300, 200)
        path = self.folder / "tokens.bin"
        ids.astype("<u2").tofile(path)
        data = ["--data", f"tokens:{path}", "--context", 16]
        self.same(bilens.evaluate(model, data=f"tokens:{path}", context=16)[0], "evaluate", model, *data)
        self.same(bilens.inspect(model), "inspect", model)
        bilens.convert_checkpoint(model, self.folder / "ours")
        self.check(run("convert", model, self.folder / "theirs"), 0)
        self.assertEqual(files_below(self.folder / "ours"), files_below(self.folder / "theirs"))

    def test_generate(self):
        data = test_data("stories260K/stories260K.bin", "stories260K/tok512.model") / "stories260K"
        model = self.folder / "stories"
        bilens.convert_checkpoint(data / "stories260K.bin", model, tokenizer=data / "tok512.model")
        for settings in ({"temperature": 0}, {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "seed": 3}):
            settings |= {"max_tokens": 20, "threads": 1}
            flags = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
            shown = self.result("generate", model, "--prompt", "Lily said that", *flags)["text"]
            self.assertEqual(bilens.generate(model, "Lily said that", **settings), shown)
            self.assertTrue(shown.startswith("Lily said that ") and len(shown) > 30, shown)

    def test_one_model_has_none_before_it(self):
        with self.assertRaises(bilens.UsageError) as raised:
            bilens.decompose(self.folder / "model", minus="previous")
        self.assertEqual(raised.exception.where, "minus")
        self.assertIn("bilens.run(", raised.exception.fix)

    def test_a_run_that_one_begins_and_the_other_ends(self):
        config = self.small_config(train={"epochs": 300, "batch_size": 8}, checkpoint={"every_epochs": 10})
        whole = self.folder / "whole"
        self.check(run("train", config, "--out", whole), 0)
        script = textwrap.dedent("""
            import sys, bilens
            bilens.set_progress(None)
            bilens.train(sys.argv[1], out=sys.argv[2], resume=True)
        """)
        ours = [sys.executable, "-c", script]
        theirs = [os.environ["BILENS"], "train", "--resume", "--out"]
        for name, first, second in (
            ("python first", [*ours, config, self.folder / "python first"], None),
            ("program first", [*theirs, self.folder / "program first", config], ours),
        ):
            with self.subTest(name):
                out = self.folder / name
                process = subprocess.Popen([str(word) for word in first], stderr=subprocess.DEVNULL)
                self.addCleanup(process.kill)
                until = time.monotonic() + 60
                while not list(out.glob("checkpoints/*")) and time.monotonic() < until:
                    time.sleep(0.01)
                process.send_signal(signal.SIGINT)
                self.assertNotEqual(process.wait(60), 0)
                self.assertFalse((out / "model").exists())
                if second is None:
                    self.check(run("train", config, "--out", out, "--resume"), 0)
                else:
                    subprocess.run([*second, str(config), str(out)], check=True, timeout=120)
                self.assertEqual(files_below(out / "model"), files_below(whole / "model"))
                self.assertEqual(timeless(read_metrics(out)), timeless(read_metrics(whole)))


if __name__ == "__main__":
    unittest.main()
