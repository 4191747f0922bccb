"""Several `bilens decompose --out SAME --resume` at once share the work, and end in the files of one alone."""
# labels: slow

import json
import os
import pathlib
import shutil
import signal
import unittest

from bilens_cli import TIMEOUT, TestCase, files_below, run, start, stop, wait_for
from language_models import write_llama

LAYERS, MODELS = 4, 5
FLAGS = ("--set", "k=4", "--threads", 1)


class SharedFolder(TestCase):
    def setUp(self):
        super().setUp()
        self.models = self.folder / "models"
        for i in range(MODELS):
            # 160 directions of each layer: some tenths of a second.
            write_llama(self.models / f"step-{i + 1}", d=160, h=320, layers=LAYERS, seed=i)
        self.one = self.models / "step-1"
        self.whole, self.shared = self.folder / "whole", self.folder / "shared"

    def command(self, models, out):
        return ("decompose", models, "--out", out, "--json", *FLAGS)

    def begin(self, models):
        process = start(*self.command(models, self.shared), "--resume")
        self.addCleanup(process.kill)  # also one that a test has stopped
        return process

    def begin_and_hold(self):
        """A process that is stopped while it is at a layer."""
        process = self.begin(self.one)
        wait_for(self.claims, process=process)
        process.send_signal(signal.SIGSTOP)
        return process

    def layers(self):
        """How many are finished."""
        return len(list(self.shared.glob("layer_*.safetensors")))

    def claims(self):
        """Layers that somebody is at."""
        return {path.name.split("layer_")[1] for path in self.shared.glob(".bilens-lock-layer_*")}

    def is_at_a_layer(self, process):
        """Whether a process has claimed one."""
        try:
            files = [os.readlink(link) for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir()]
        except OSError:
            return False  # it has ended, or closed one of them meanwhile
        return any(".bilens-lock-layer_" in file for file in files)

    def end(self, process):
        """The results of a process, which ends well."""
        stdout, stderr = process.communicate(timeout=TIMEOUT)
        self.assertEqual(process.returncode, 0, stderr)
        return json.loads(stdout)["results"]

    def check_same(self):
        """The files of one process, to the last bit, but for what took how long."""
        # A killed process may leave what it was just writing, and empty locks that hold nobody off.
        files = {name: text for name, text in files_below(self.shared).items() if "/." not in "/" + name}
        expected = files_below(self.whole)
        self.assertEqual(files.keys(), expected.keys())
        for name in files:
            if name.endswith("decomposition.json"):
                ours, theirs = (json.loads(text) for text in (files[name], expected[name]))
                for record in (ours, theirs):
                    del record["seconds"]
                    for layer in record["layers"]:
                        del layer["seconds"]
                self.assertEqual(ours, theirs)
            elif name.endswith(".safetensors"):
                self.assertEqual(files[name], expected[name], name)

    def test_the_layers_of_one_model(self):
        self.check(run(*self.command(self.one, self.whole)), 0)
        first = self.begin_and_hold()
        second = self.begin(self.one)
        wait_for(lambda: self.layers() >= LAYERS - 1, process=second)  # all but the first one's
        first.send_signal(signal.SIGCONT)
        results = [self.end(process)[0] for process in (first, second)]
        self.assertEqual(sorted(result.get("skipped", False) for result in results), [False, True])
        self.check_same()

    def test_many_models(self):
        self.check(run(*self.command(self.models, self.whole)), 0)
        results = [self.end(process) for process in [self.begin(self.models) for _ in range(4)]]
        for result in results:
            self.assertEqual(len({one["model"] for one in result}), MODELS)
        finished = [one["model"] for result in results for one in result if not one.get("skipped")]
        self.assertEqual(sorted(finished), sorted(str(self.models / f"step-{i + 1}") for i in range(MODELS)))
        self.check_same()

    def test_who_is_killed_gives_its_layer_back(self):
        self.check(run(*self.command(self.one, self.whole)), 0)
        kills = 0
        for _ in range(20):
            victims = [self.begin(self.one) for _ in range(2)]
            wait_for(lambda: all(self.is_at_a_layer(v) or v.poll() is not None for v in victims))
            kills += sum(stop(victim, signal.SIGKILL)[0] == -signal.SIGKILL for victim in victims[:1])
            other = victims[1].communicate(timeout=TIMEOUT)
            self.assertEqual(victims[1].returncode, 0, other)
            if kills:
                break
            shutil.rmtree(self.shared)
        self.assertTrue(kills)
        self.check_same()

    def test_who_hangs_is_waited_for(self):
        self.check(run(*self.command(self.one, self.whole)), 0)
        hanging = self.begin_and_hold()
        other = self.begin(self.one)
        wait_for(lambda: self.layers() >= LAYERS - 1, process=other)
        self.assertIsNone(other.poll())
        hanging.send_signal(signal.SIGKILL)
        hanging.communicate()
        self.assertFalse(self.end(other)[0].get("skipped", False))
        self.check_same()

    def test_who_waits_can_be_stopped(self):
        hanging = self.begin_and_hold()
        other = self.begin(self.one)
        wait_for(lambda: self.layers() >= LAYERS - 1, process=other)
        code, stderr = stop(other, signal.SIGINT)
        self.assertEqual(code, 75, stderr)
        hanging.send_signal(signal.SIGCONT)
        self.end(hanging)

    def test_other_settings_are_no_part_of_the_work(self):
        hanging = self.begin_and_hold()
        before = self.layers()
        result = run(*self.command(self.one, self.shared), "--resume", "--set", "k=5")
        self.assertEqual(result.returncode, 2, result.stdout)
        self.assertIn("those at work in it", result.stdout)
        self.assertEqual(self.layers(), before)
        # And who does not resume wants the folder for itself.
        self.assertIn("another bilens working in it", run(*self.command(self.one, self.shared)).stdout)
        hanging.send_signal(signal.SIGCONT)
        self.end(hanging)


if __name__ == "__main__":
    unittest.main()
