"""How many eigenvectors suffice is chosen on the validation images of the run, and shown on the test images."""

import json
import unittest

from bilens_cli import TestCase, read_metrics, run


class ChoiceOfK(TestCase):
    def study_of(self, fraction):
        """The study of a model trained with this share of its images kept for validation."""
        config = {
            "model": {"d_model": 16, "d_hidden": 16},
            "data": {"validation_fraction": fraction},
            "train": {"epochs": 1, "batch_size": 200, "learning_rate": 3e-3, "seed": 7},
            "device": "cpu",
            "threads": 1,
        }
        path, self.run_folder = self.write("config.json", json.dumps(config)), self.folder / f"run-{fraction}"
        self.check(run("train", path, "--out", self.run_folder), 0)
        out = self.folder / f"out-{fraction}"
        self.check(run("decompose", self.run_folder / "model", "--out", out, "--set", "k=10"), 0)
        return json.loads((out / "study.json").read_text())

    def first_sufficient(self, curve, accuracies, full):
        return next(k for k, accuracy in zip(curve["k"], accuracies) if accuracy >= full - 0.01)

    def test_on_the_validation_images_of_the_run(self):
        study = self.study_of(0.1)
        of_run = [record for record in read_metrics(self.run_folder) if record.get("split") == "validation"][-1]
        # The very images that the run kept back: its seed draws them.
        self.assertEqual(study["validation"]["examples"], of_run["examples"])
        self.assertEqual(study["validation"]["accuracy"], of_run["accuracy"])
        self.assertAlmostEqual(study["validation"]["loss"], of_run["loss"], delta=1e-5)
        self.assertEqual((study["data"]["split"], study["evaluation"]["examples"]), ("test", 1000))
        (curve,) = study["truncation"]
        self.assertEqual(len(curve["validation"]["accuracy"]), len(curve["k"]))
        self.assertNotEqual(curve["validation"]["accuracy"], curve["accuracy"])
        k = self.first_sufficient(curve, curve["validation"]["accuracy"], study["validation"]["accuracy"])
        self.assertEqual(curve["chosen"], {"k": k, "split": "validation"})

    def test_on_the_test_images_where_none_were_kept_and_the_file_says_so(self):
        study = self.study_of(0.0)
        (curve,) = study["truncation"]
        self.assertIsNone(study["validation"])
        self.assertIsNone(curve["validation"])
        self.assertEqual(
            curve["chosen"],
            {"k": self.first_sufficient(curve, curve["accuracy"], study["evaluation"]["accuracy"]), "split": "test"},
        )


if __name__ == "__main__":
    unittest.main()
