"""A run that is killed again and again and resumed each time ends in the weights of one that never was."""
# labels: slow

import json
import random
import signal
import time
import unittest

from bilens_cli import TestCase, read_metrics, run, start, stop, wait_for

KILLS = 20
INSIDE_A_WRITE = 5
EPOCHS = 80
STEPS_PER_EPOCH = 32


class Resume(TestCase):
    def setUp(self):
        super().setUp()
        # Large enough that a run lasts for seconds, and that the seconds are in the steps; noise and validation have
        # random numbers of their own.
        self.small_data(images=4096, height=16, width=16)
        self.config = self.small_config(
            self.folder / "data",
            model={"d_model": 128, "d_hidden": 128, "n_layers": 2, "bias": True, "residual": True},
            data={"validation_fraction": 0.0},
            checkpoint={"every_epochs": 1, "keep_last": 1},
            train={
                "epochs": EPOCHS,
                "batch_size": 128,
                "learning_rate": 1e-3,
                "input_noise": {"std": 0.3, "unit": "pixel"},
                "clip_norm": 1.0,
            },
        )
        self.out = self.folder / "killed"
        self.kills, self.kills_inside = 0, 0

    def partial_checkpoints(self):
        folder = self.out / "checkpoints"
        return {p.name for p in folder.glob(".partial-*")} if folder.is_dir() else set()

    def begin(self, **env):
        return start("train", self.config, "--out", self.out, "--resume", "--quiet", env=env)

    def kill_after(self, seconds):
        """Kills wherever the run then is; false when it was finished before."""
        process = self.begin()
        end = time.monotonic() + seconds
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.001)
        return self.killed(process)

    def kill_inside_a_write(self, delay):
        """Kills while a checkpoint is being written: its unfinished folder is there at that moment."""
        before = self.partial_checkpoints()
        process = self.begin(BILENS_TEST_WRITE_DELAY_MS=15)  # each file of a checkpoint then takes 15 ms a piece
        wait_for(lambda: self.partial_checkpoints() - before, process=process)
        time.sleep(delay)
        process.send_signal(signal.SIGSTOP)  # nothing moves between the look and the kill
        inside = bool(self.partial_checkpoints() - before)
        killed = self.killed(process)
        # What was half written is still there, which is the proof; the next run has to live with it.
        self.kills_inside += killed and inside and bool(self.partial_checkpoints() - before)
        return killed

    def killed(self, process):
        code, stderr = stop(process, signal.SIGKILL)
        self.assertIn(code, (0, -signal.SIGKILL), stderr)
        self.kills += code != 0
        return code != 0

    def test_twenty_kills_do_not_change_the_weights(self):
        whole = self.folder / "whole"
        begin = time.monotonic()
        self.check(run("train", self.config, "--out", whole, "--quiet"), 0)
        seconds = time.monotonic() - begin

        chance = random.Random(7)
        inside = set(chance.sample(range(KILLS), INSIDE_A_WRITE))
        for i in range(KILLS):
            if i in inside:
                for _ in range(5):  # a checkpoint may just be complete when the process is stopped
                    count = self.kills_inside
                    self.assertTrue(self.kill_inside_a_write(chance.uniform(0, 0.05)), "the run ended too early")
                    if self.kills_inside > count:
                        break
            else:
                # The start of the program is a good part of a second, so the progress of each try is small.
                self.assertTrue(
                    self.kill_after(chance.uniform(0.1, 0.5 * seconds / 10 + 0.6)), "the run ended too early"
                )
        self.assertGreaterEqual(self.kills, KILLS)
        self.assertEqual(self.kills_inside, INSIDE_A_WRITE)
        self.assertFalse((self.out / "model").exists(), "all kills were to come before the end")

        self.check(run("train", self.config, "--out", self.out, "--resume", "--quiet"), 0)
        self.assertEqual(
            (self.out / "model/model.safetensors").read_bytes(), (whole / "model/model.safetensors").read_bytes()
        )
        self.assertEqual(self.partial_checkpoints(), set(), "leftovers of killed writes are removed")
        self.assertEqual([p.name for p in self.out.glob(".partial-*")], [])
        self.same_metrics(whole)

    def same_metrics(self, whole):
        """Every step once, in order, and everything in it but the speed as in the run that was never killed."""

        def timeless(record):
            return {key: value for key, value in record.items() if key not in ("images_per_second", "mfu")}

        records = read_metrics(self.out)
        steps = [r["step"] for r in records if "split" not in r]
        self.assertEqual(steps, list(range(1, EPOCHS * STEPS_PER_EPOCH + 1)))
        self.assertEqual([timeless(r) for r in records], [timeless(r) for r in read_metrics(whole)])

    def test_the_uninterrupted_run_repeats_itself(self):
        """Without this the comparison above would say nothing."""
        weights = []
        config = json.loads(self.config.read_text())
        config["train"]["epochs"] = 2
        self.config.write_text(json.dumps(config))
        for name in ("a", "b"):
            self.check(run("train", self.config, "--out", self.folder / name, "--quiet"), 0)
            weights.append((self.folder / name / "model/model.safetensors").read_bytes())
        self.assertEqual(*weights)
        self.check(run("train", self.config, "--out", self.folder / "c", "--quiet", "--seed", 2), 0)
        self.assertNotEqual((self.folder / "c/model/model.safetensors").read_bytes(), weights[0])


if __name__ == "__main__":
    unittest.main()
