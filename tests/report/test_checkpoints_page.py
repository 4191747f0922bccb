"""The report of a run's checkpoints in headless Chromium: spectra over its steps."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file

from bilens_cli import run
from language_models import write_llama
from pages import InBrowser, assert_self_contained

STEPS = (9, 10, 100)


class CheckpointsPage(InBrowser):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for step in STEPS:
            write_llama(cls.folder / f"run/step-{step}", layers=2, seed=step)
        for name, flags in (("plain", ()), ("changes", ("--minus", "previous"))):
            for command in (
                (
                    "decompose",
                    cls.folder / "run",
                    "--out",
                    cls.folder / name,
                    "--set",
                    "k=2",
                    "--set",
                    "solver=dense",
                    *flags,
                ),
                ("report", cls.folder / name, "--out", cls.folder / f"{name}.html"),
            ):
                done = run(*command)
                assert done.returncode == 0, done.stderr
            assert_self_contained(cls.folder / f"{name}.html")

    def expected(self, step, key):
        """Means over directions, of each layer."""
        if key == "effective_rank":
            return [
                np.mean(layer[key])
                for layer in json.loads((self.folder / f"plain/step-{step}/decomposition.json").read_text())["layers"]
            ]
        return [
            np.abs(load_file(self.folder / f"plain/step-{step}/layer_{layer}.safetensors")["eigenvalues"])[:, 0].mean()
            for layer in range(2)
        ]

    def test_a_line_a_layer_over_the_steps(self):
        self.visit(self.folder / "plain.html")
        figures = self.circle_titles(".checkpoints figure")
        self.assertEqual(len(figures), 2)
        for titles, key in zip(figures, ("eigenvalues", "effective_rank")):
            self.assertEqual(
                [title.split(":")[0] for title in titles],
                [f"layer {layer}, step {step}" for layer in range(2) for step in STEPS],
            )
            shown = [float(title.split(": ")[1]) for title in titles]
            np.testing.assert_allclose(
                shown, np.array([self.expected(step, key) for step in STEPS]).T.flatten(), rtol=0.01
            )

    def test_the_index_has_their_figures(self):
        self.visit(self.folder / "plain.html")
        head = self.texts(".index th")
        rows = self.cells(".index tbody tr")
        self.assertEqual([row[head.index("Step")] for row in rows], [str(step) for step in STEPS])
        np.testing.assert_allclose(
            [float(row[head.index("Largest |λ|")]) for row in rows],
            [np.mean(self.expected(step, "eigenvalues")) for step in STEPS],
            rtol=0.01,
        )

    def test_changes_between_neighbours_are_called_that(self):
        self.visit(self.folder / "changes.html")
        self.assertIn("since the checkpoint before", self.text(".checkpoints"))
        self.assertEqual(len(self.texts(".index tbody tr")), 2)


if __name__ == "__main__":
    unittest.main()
