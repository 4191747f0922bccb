"""The callback of bilens.train and bilens.finetune: its lines are those of metrics.jsonl, and what it raises stops the
run so that it can be resumed."""

import json
import pathlib
import tempfile
import unittest

import torch

from bilens_cli import write_idx_folder
from finetuning import FinetuneCase
from python_package import bilens


class Abandoned(Exception):
    """Raised by callbacks."""


def lines_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def stop_at(step, seen, split=None):
    def callback(line):
        seen.append(line)
        if line["step"] == step and line.get("split") == split:
            raise Abandoned(step)

    return callback


class Train(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="bilens-callback-")
        cls.addClassCleanup(holder.cleanup)
        cls.folder = pathlib.Path(holder.name)
        data = write_idx_folder(cls.folder / "data", images=100, height=6, width=6, classes=4)
        cls.config = {
            "model": {"d_model": 8, "d_hidden": 8},
            "data": {"dataset": "mnist", "path": str(data), "validation_fraction": 0.1},
            "train": {"epochs": 2, "batch_size": 10, "learning_rate": 7e-3},
            "device": "cpu",
            "threads": 1,
        }
        cls.seen = []
        cls.result = bilens.train(cls.config, out=cls.folder / "whole", callback=cls.seen.append)

    def weights(self, run):
        return (self.folder / run / "model/model.safetensors").read_bytes()

    def test_its_lines_are_those_of_the_file(self):
        self.assertEqual(self.seen, lines_of(self.folder / "whole"))
        steps = [line["step"] for line in self.seen if "split" not in line]
        self.assertEqual(steps, list(range(1, steps[-1] + 1)))
        self.assertEqual({line.get("split") for line in self.seen}, {None, "validation", "test"})
        self.assertLess({"loss", "lr", "epoch", "grad_norm"}, self.seen[0].keys())

    def test_a_line_is_in_the_file_when_the_callback_has_it(self):
        run, found = self.folder / "followed", []
        bilens.train(self.config, out=run, callback=lambda line: found.append(lines_of(run)[-1] == line))
        self.assertEqual(set(found), {True})

    def test_what_it_raises_stops_the_run_and_a_resumed_one_is_the_same(self):
        last = max(line["step"] for line in self.seen)
        cases = {"at a step": (5, None), "at a validation": (last // 2, "validation"), "at the end": (last, None)}
        for name, (step, split) in cases.items():
            with self.subTest(name):
                run, seen = self.folder / name, []
                with self.assertRaises(Abandoned) as caught:
                    bilens.train(self.config, out=run, callback=stop_at(step, seen, split))
                self.assertEqual(caught.exception.args, (step,))
                self.assertEqual(seen[-1].get("split"), split)
                self.assertTrue(list((run / "checkpoints").iterdir()))
                bilens.train(self.config, out=run, resume=True, callback=seen.append)
                self.assertEqual(self.weights(name), self.weights("whole"))
                losses = {line["step"]: line["loss"] for line in seen if "split" not in line}
                expected = {line["step"]: line["loss"] for line in self.seen if "split" not in line}
                self.assertEqual(losses, expected)

    def test_after_the_last_line(self):
        with self.assertRaises(Abandoned):
            last = max(line["step"] for line in self.seen)
            bilens.train(self.config, out=self.folder / "tested", callback=stop_at(last, [], "test"))
        self.assertEqual(self.weights("tested"), self.weights("whole"))

    def test_ctrl_c_in_it(self):
        def callback(line):
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            bilens.train(self.config, out=self.folder / "interrupted", callback=callback)
        self.assertEqual(len(lines_of(self.folder / "interrupted")), 1)

    def test_it_may_use_torch_and_the_library(self):
        found = []

        def callback(line):
            weight = torch.ones(3, requires_grad=True)
            (weight * line["loss"]).sum().backward()
            found.append(weight.grad[0].item())
            one = torch.eye(3)
            found.append(bilens.decompose(one, one, one, k=1, threads=2).eigenvalues[0, 0].item())

        bilens.train(self.config, out=self.folder / "nested", callback=callback)
        self.assertEqual(found[1], 1.0)
        self.assertAlmostEqual(found[0], self.seen[0]["loss"], places=5)
        self.assertEqual(self.weights("nested"), self.weights("whole"))

    def test_torchs_random_numbers_go_on(self):
        torch.manual_seed(5)
        expected = torch.randn(3)
        torch.manual_seed(5)
        bilens.train(self.config, out=self.folder / "seeded")
        self.assertTrue(torch.equal(torch.randn(3), expected))
        self.assertEqual(self.weights("seeded"), self.weights("whole"))

    def test_what_is_no_callback(self):
        with self.assertRaisesRegex(bilens.UsageError, "callback: expected a function, found int"):
            bilens.train(self.config, out=self.folder / "never", callback=3)
        with self.assertRaisesRegex(bilens.UsageError, "callback: expected train or finetune"):
            bilens.run("inspect", self.folder / "whole/model", callback=print)


class Finetune(FinetuneCase):
    def settings(self):
        return json.loads(pathlib.Path(self.config()).read_text())

    def test_its_lines_and_a_stop(self):
        whole, stopped, seen, part = self.folder / "whole", self.folder / "stopped", [], []
        bilens.finetune(self.settings(), out=whole, callback=seen.append)
        self.assertEqual(seen, lines_of(whole))
        with self.assertRaises(Abandoned):
            bilens.finetune(self.settings(), out=stopped, callback=stop_at(7, part))
        bilens.finetune(self.settings(), out=stopped, resume=True, callback=part.append)
        name = "model/model.safetensors"
        self.assertEqual((stopped / name).read_bytes(), (whole / name).read_bytes())
        self.assertEqual([line["step"] for line in part], [line["step"] for line in seen])


if __name__ == "__main__":
    unittest.main()
