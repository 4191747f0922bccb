"""Every dry run says how long the run would take, from what it measured, and leaves nothing behind."""

import unittest

import numpy as np

from bilens_cli import TestCase, files_below, run
from classifiers import write_model
from language_models import write_llama


class DryRuns(TestCase):
    def setUp(self):
        super().setUp()
        write_model(self.folder / "images", d_model=8, d_hidden=8)
        write_llama(self.folder / "language")
        np.random.default_rng(0).integers(2, 300, 400).astype("<u2").tofile(self.folder / "tokens.bin")
        self.before = files_below(self.folder)

    def estimate(self, *arguments):
        done = self.check(run(*arguments, "--dry-run", "--json"), 0)
        self.assertEqual(files_below(self.folder), self.before)
        return self.document(done)["estimate"]

    def test_seconds(self):
        tokens = ("--data", f"tokens:{self.folder / 'tokens.bin'}")
        for call in (
            ("evaluate", self.folder / "images", "--data", "mnist-5k"),
            ("evaluate", self.folder / "language", *tokens),
            ("convert", self.folder / "language", self.folder / "out"),
            ("explain", self.folder / "images", "--input", "test:0", "--data", "mnist-5k"),
        ):
            with self.subTest(call=call[:2]):
                estimate = self.estimate(*call)
                self.assertGreater(estimate["seconds"], 0)
                self.assertGreater(estimate["memory_bytes"], 0)

    def test_seconds_of_cp_are_a_bound_that_grows_with_its_iterations(self):
        seconds = [
            self.estimate(
                "decompose",
                self.folder / "images",
                "--out",
                self.folder / "out",
                "--set",
                "method=cp",
                "--set",
                "cp.rank=3",
                "--set",
                f"cp.max_iterations={most}",
            )["seconds"]
            for most in (10, 10000)
        ]
        self.assertGreater(seconds[0], 0)
        self.assertGreater(seconds[1], 10 * seconds[0])


if __name__ == "__main__":
    unittest.main()
