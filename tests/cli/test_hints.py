"""Calls that are not quite right, and what the program says to type instead."""

import json
import shlex
import unittest

from bilens_cli import TestCase, run
from classifiers import write_model
from language_models import write_llama


class UnknownFlags(TestCase):
    def refused(self, *arguments):
        return self.check(run(*arguments), 2).stderr

    def test_a_config_key_is_shown_as_set_takes_it(self):
        for flags, setting in (
            (("--epochs", 3), "--set train.epochs=3"),
            (("--epochs=3",), "--set train.epochs=3"),
            (("--learning-rate", "1e-4"), "--set train.learning_rate=1e-4"),
            (("--train.epochs", 3), "--set train.epochs=3"),
            (("--epochs",), "--set train.epochs=VALUE"),
        ):
            message = self.refused("train", "configs/demo.json", *flags)
            self.assertIn(f"`{setting}`", message)
            self.assertIn(flags[0].split("=")[0] + ": expected a flag of `bilens train`", message)
        self.assertIn("`--set k=20`", self.refused("decompose", "model", "--k", 20))
        self.assertIn("`--set k=20`", self.refused("decompose", "model", "-k", 20))
        self.assertIn("`--set surrogate=half`", self.refused("decompose", "model", "--surrogate", "half"))
        self.assertIn("`--set cp.rank=5`", self.refused("decompose", "model", "--rank", 5))
        self.assertIn("`--set 'layers=[1, 2]'`", self.refused("decompose", "model", "--layers", "[1, 2]"))
        self.assertIn("`--set layer=4`", self.refused("intervene", "out", "--layer", 4))
        self.assertIn("`--set teacher=model`", self.refused("finetune", "--teacher", "model"))

    def test_a_key_of_several_places_is_shown_in_all(self):
        message = self.refused("decompose", "model", "--starts", 2)
        for place in ("joint.starts", "cp.starts"):
            self.assertIn(f"`--set {place}=2`", message)

    def test_what_is_nearly_right_is_named(self):
        self.assertIn("Did you mean --resume?", self.refused("train", "configs/demo.json", "--resum"))
        self.assertIn("Did you mean `--set train.epochs=3`?", self.refused("train", "configs/demo.json", "--epoch", 3))
        self.assertIn("Did you mean --prompt?", self.refused("explain", "model", "--promt", "a"))

    def test_a_command_without_a_config_has_no_keys(self):
        for flag in ("--epochs", "--k"):
            message = self.refused("evaluate", "model", flag, 3)
            self.assertNotIn("--set", message)
            self.assertIn("bilens evaluate --help", message)

    def test_json_says_the_same(self):
        done = self.check(run("train", "configs/demo.json", "--epochs", 3, "--json"), 2)
        self.assertIn("--set train.epochs=3", self.document(done)["failures"][0]["message"])


class BareCalls(TestCase):
    def test_training_without_anything_is_refused(self):
        for command, example in (
            ("train", "bilens train configs/demo.json"),
            ("finetune", "bilens finetune configs/finetune-stories260k.json"),
        ):
            out = self.folder / "out"
            done = self.check(run(command, "--out", out), 2, f"`{example}`", f"`bilens schema {command}`")
            self.assertFalse(out.exists(), done.stderr)
            self.check(run(command, "--dry-run"), 2, f"`{example}`")

    def test_a_run_that_is_there_is_gone_on_with_by_its_config(self):
        out = self.folder / "a run"
        self.check(run("train", self.small_config(), "--out", out), 0)
        message = self.check(run("train", "--resume", "--out", out), 2).stderr
        call = message.split("`")[1]
        self.assertEqual(shlex.split(call)[:3], ["bilens", "train", str(out / "config.json")])
        self.check(run(*shlex.split(call)[1:]), 0)

    def test_settings_alone_are_a_config(self):
        self.small_data()
        flags = [
            part
            for setting in (
                "data.dataset=mnist",
                f"data.path={self.folder}/data",
                "model.d_model=4",
                "model.d_hidden=4",
                "train.epochs=1",
                "train.batch_size=16",
            )
            for part in ("--set", setting)
        ]
        self.check(run("train", *flags, "--out", self.folder / "out"), 0)

    def test_finetuning_without_a_teacher_names_it(self):
        config = self.write("config.json", json.dumps({"data": {"dataset": "text", "path": "text.txt"}}))
        self.check(run("finetune", config), 2, "config.json: teacher", "--set teacher=MODEL")
        self.check(
            run("finetune", "--set", "data.path=text.txt"), 2, "teacher: expected the checkpoint", "--set teacher=MODEL"
        )


class StringsForKinds(TestCase):
    def decompose(self, directions, expect=0):
        out = self.folder / f"out-{directions}"
        done = self.check(
            run(
                "decompose",
                self.folder / "model",
                "--out",
                out,
                "--set",
                "k=2",
                "--set",
                "analyses=[]",
                "--set",
                f"directions={directions}",
            ),
            expect,
        )
        return json.loads((out / "decomposition.json").read_text()) if expect == 0 else done.stderr

    def test_directions(self):
        write_model(self.folder / "model", d_model=6, d_hidden=6)
        for kind, count in (("axes", 6), ("outputs", 10)):
            description = self.decompose(kind)
            self.assertEqual(
                (description["config"]["directions"], description["layers"][0]["n_directions"]), ({"kind": kind}, count)
            )
        self.assertIn("directions.count", self.decompose("random", expect=2))
        self.assertIn('Did you mean "axes"?', self.decompose("axis", expect=2))
        self.assertIn("directions: expected a string or an object", self.decompose("3", expect=2))

    def test_stages(self):
        write_llama(self.folder / "model", act="silu")
        flags = (
            "--set",
            f"teacher={self.folder / 'model'}",
            "--set",
            "data.path=nowhere.bin",
            "--set",
            "data.dataset=tokens",
        )
        self.check(
            run("finetune", *flags, "--set", 'stages=["widen", "settle", "calibrate"]', "--dry-run"),
            2,
            "calibrate after settle",
        )
        self.check(run("finetune", *flags, "--set", 'stages=["setle"]', "--dry-run"), 2, 'Did you mean "settle"?')


if __name__ == "__main__":
    unittest.main()
