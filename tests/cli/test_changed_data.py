"""A run is resumed on the data that it began with, or not at all."""

import json
import shutil
import unittest

import numpy

from bilens_cli import TestCase, files_below, run
from finetuning import FinetuneCase
from texts import TextCase, stories


class ChangedData:
    """For cases with `run_again(out, *flags)`, which trains, and `changed`, pairs of a file and other bytes for it."""

    def half(self, out):
        """A run as one that was killed at its last checkpoint but one leaves it."""
        self.check(self.run_again(out), 0)
        self.expected = (out / "model/model.safetensors").read_bytes()
        shutil.rmtree(out / "model")
        shutil.rmtree(max((out / "checkpoints").iterdir(), key=lambda p: int(p.name[5:])))

    def refuses(self, out, path):
        for flags in ((), ("--dry-run",)):
            result = self.run_again(out, "--resume", *flags)
            self.check(result, 3, str(path), "the data of the run", "sha256", "--out")

    def evaluates_its_own_data_alone(self, out, path, other, named):
        """A model is tried on its run's data only while they are those; other data have to be named."""
        good = path.read_bytes()
        self.check(run("evaluate", out / "model"), 0)
        path.write_bytes(other)
        self.check(run("evaluate", out / "model"), 3, str(path), "the data of the run", "--data")
        self.check(run("evaluate", out / "model", "--data", named), 0)
        path.write_bytes(good)

    def refuses_other_data(self, pairs):
        out = self.folder / "run"
        self.half(out)
        for path, other in pairs:
            good = path.read_bytes()
            path.write_bytes(other)
            left = files_below(out)
            self.refuses(out, path)
            self.assertEqual(files_below(out), left)
            path.write_bytes(good)
        self.check(self.run_again(out, "--resume"), 0, "continuing at step")
        self.assertEqual((out / "model/model.safetensors").read_bytes(), self.expected)
        path, other = pairs[0]
        good = path.read_bytes()
        path.write_bytes(other)  # what is finished was not made of this either
        self.refuses(out, path)
        path.write_bytes(good)


class Images(TestCase, ChangedData):
    def run_again(self, out, *flags):
        return run("train", self.config, "--out", out, *flags)

    def test_images(self):
        self.config = self.small_config(train={"epochs": 4})
        pairs = []
        for path in sorted((self.folder / "data").iterdir()):
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            pairs.append((path, bytes(data)))
        self.assertEqual(len(pairs), 4)
        self.refuses_other_data(pairs)
        path, other = pairs[0]
        self.evaluates_its_own_data_alone(self.folder / "run", path, other, f"mnist:{path.parent}")

    def test_a_checkpoint_that_says_nothing_of_its_data_is_gone_on_with(self):
        """Those of version 0.1.0."""
        self.config = self.small_config(train={"epochs": 4})
        out = self.folder / "run"
        self.half(out)
        (path,) = (out / "checkpoints").glob("*/trainer.json")
        state = json.loads(path.read_text())
        self.assertEqual(len(state.pop("data")), 4)
        path.write_text(json.dumps(state))
        (path.parent / "DONE").write_text("")
        self.check(self.run_again(out, "--resume"), 0, "continuing at step")


class Text(TextCase, ChangedData):
    def config(self, data):
        return self.tiny_config(data, train={"steps": 4}, checkpoint={"every_steps": 2, "keep_last": 9})

    def run_again(self, out, *flags):
        return run("train", self.given, "--out", out, *flags)

    def test_text_and_its_tokenizer(self):
        text = self.write("text.txt", self.text.read_bytes())
        tokenizer = self.folder / "tokenizer"
        shutil.copytree(self.case.folder / "tokenizer", tokenizer)
        self.given = self.config({"dataset": "text", "path": str(text), "tokenizer": str(tokenizer)})
        model, config = tokenizer / "tokenizer.model", tokenizer / "tokenizer_config.json"
        other = self.folder / "other"
        self.check(
            run(
                "tokenizer",
                "train",
                "--data",
                f"text:{self.write('other.txt', stories(300, seed=5))}",
                "--vocabulary",
                320,
                "--out",
                other,
            ),
            0,
        )
        self.refuses_other_data(
            [
                (text, stories(400, seed=1).encode()),
                (model, (other / "tokenizer.model").read_bytes()),
                (config, config.read_bytes().replace(b'"legacy": true', b'"legacy": false')),
            ]
        )

    def test_token_files(self):
        ids = numpy.arange(4000, dtype="<u2") % 300
        path = self.write("ids.bin", ids.tobytes())
        self.given = self.config({"dataset": "tokens", "path": str(path), "document_token": 0})
        self.refuses_other_data([(path, ids[::-1].tobytes()), (path, ids[:3990].tobytes())])
        self.evaluates_its_own_data_alone(self.folder / "run", path, ids[::-1].tobytes(), f"tokens:{path}")


class Finetune(FinetuneCase, ChangedData):
    def run_again(self, out, *flags):
        return run("finetune", self.given, "--out", out, *flags)

    def test_text_of_a_conversion(self):
        text = self.write("text.txt", self.text.read_bytes())
        self.given = self.config(data={"path": str(text)})
        other = stories(600, seed=1).encode()
        self.refuses_other_data([(text, other)])
        # Killed before the first checkpoint, what the closed-form stage gave is of the first data all the same.
        out = self.folder / "run"
        shutil.rmtree(out / "checkpoints")
        shutil.rmtree(out / "model")
        text.write_bytes(other)
        self.check(self.run_again(out, "--resume"), 3, str(text), "calibration.json")


if __name__ == "__main__":
    unittest.main()
