"""`bilens.check`: what the command finds, as a dictionary or an exception."""

import hashlib
import pathlib
import tempfile
import unittest

import bilens
import numpy as np
from safetensors.numpy import save_file

from checks import ABOUT, LAYERS, reference_of
from language_models import write_llama


class CheckInPython(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="bilens-check-")
        cls.addClassCleanup(holder.cleanup)
        cls.folder = pathlib.Path(holder.name)
        cls.model = cls.folder / "model"
        cls.tensors = reference_of(write_llama(cls.model, layers=LAYERS))
        cls.sha256 = hashlib.sha256((cls.model / "model.safetensors").read_bytes()).hexdigest()

    def reference(self, sha256=None, **changed):
        file = self.folder / "reference.safetensors"
        tensors = {name: np.ascontiguousarray(value) for name, value in {**self.tensors, **changed}.items()}
        save_file(tensors, file, {**ABOUT, "model_sha256": sha256 or self.sha256})
        return file

    def test_what_is_the_same(self):
        found = bilens.check(self.model, reference=self.reference(), device="cpu", out=self.folder / "out")
        self.assertTrue(found["passed"])
        self.assertEqual(found["transformers"], ABOUT["transformers"])
        self.assertEqual(len(found["dtypes"][0]["quantities"]), LAYERS + 3)
        self.assertTrue((self.folder / "out/check.json").exists())

    def test_what_differs_is_raised_with_its_figures(self):
        logits = self.tensors["float32.logits"] + np.float32(0.01)
        with self.assertRaisesRegex(bilens.Error, "logits differs") as caught:
            bilens.check(self.model, reference=self.reference(**{"float32.logits": logits}), device="cpu")
        (found,) = caught.exception.results
        self.assertFalse(found["passed"])
        self.assertFalse(found["dtypes"][0]["quantities"][-2]["within"])

    def test_what_cannot_be_compared(self):
        with self.assertRaisesRegex(bilens.InputError, "SHA-256"):
            bilens.check(self.model, reference=self.reference("0" * 64))
        with self.assertRaisesRegex(bilens.UsageError, "context beside it"):
            bilens.check(self.model, reference=self.reference(), context=5)
        with self.assertRaises(bilens.UsageError):
            bilens.check(self.model, python=self.folder / "none")

    def test_a_dry_run(self):
        estimate = bilens.check(self.model, reference=self.reference(), dry_run=True)["estimate"]
        self.assertGreater(estimate["memory_bytes"], 0)


if __name__ == "__main__":
    unittest.main()
