"""What a machine can do to a run: folders that cannot be used, a full disk, signals, no GPU, no memory."""

import hashlib
import json
import os
import resource
import shutil
import signal
import time
import unittest

from bilens_cli import TestCase, files_below, read_metrics, run, start, stop, wait_for


def limit(what, size):
    """For preexec_fn: one resource limit of the child."""
    return lambda: resource.setrlimit(what, (size, size))


class OutputFolder(TestCase):
    def test_a_folder_that_cannot_be_made(self):
        config = self.small_config()
        below_a_file = self.write("file", "") / "run"
        for out in (below_a_file, "/proc/bilens/run"):
            result = run("train", config, "--out", out)
            self.check(result, 1, str(out), "Check that the path exists")

    def test_a_folder_with_files_is_left_alone(self):
        config, out = self.small_config(), self.folder / "out"
        self.write("out/mine.txt", "precious")
        self.check(run("train", config, "--out", out), 2, str(out), "an empty or new folder", "--resume")
        self.assertEqual(files_below(out), {"mine.txt": b"precious"})

    def test_an_empty_folder_is_taken(self):
        out = self.folder / "out"
        out.mkdir()
        self.check(run("train", self.small_config(), "--out", out), 0)

    def test_a_finished_run_is_not_trained_again(self):
        config, out = self.small_config(), self.folder / "out"
        first = self.document(self.check(run("train", config, "--out", out, "--json"), 0))["results"][0]
        before = files_below(out)
        again = self.document(self.check(run("train", config, "--out", out, "--resume", "--json"), 0))["results"][0]
        self.assertEqual(files_below(out), before)
        for key in ("accuracy", "loss", "examples"):
            self.assertEqual(again[key], first[key])

    def test_a_second_run_in_the_same_folder_is_refused_and_the_first_goes_on(self):
        config, out = self.small_config(train={"epochs": 100000}), self.folder / "out"
        first = start("train", config, "--out", out)
        self.addCleanup(first.kill)
        wait_for(lambda: (out / "metrics.jsonl").exists() and read_count(out) > 5, process=first)
        for flags in ((), ("--resume",)):
            self.check(run("train", config, "--out", out, *flags), 1, str(out), "another bilens")
        self.assertIsNone(first.poll())
        steps = read_count(out)
        wait_for(lambda: read_count(out) > steps, process=first)
        code, stderr = stop(first, signal.SIGTERM)
        self.assertEqual(code, 75, stderr)


def read_count(out):
    return (out / "metrics.jsonl").read_bytes().count(b"\n")


class FullDisk(TestCase):
    """A limit on the size of a file stands for a full disk."""

    def test_in_mid_checkpoint(self):
        model = {"d_model": 64, "d_hidden": 64}
        config, out = self.small_config(model=model, train={"epochs": 6}), self.folder / "out"
        whole = self.folder / "whole"
        self.check(run("train", config, "--out", whole), 0)
        size = (whole / "model/model.safetensors").stat().st_size
        optimizer = next(whole.glob("checkpoints/step-*/optimizer.safetensors")).stat().st_size
        self.assertGreater(optimizer, size + 20000)

        # A first part that ends with a complete checkpoint.
        first = start("train", config, "--out", out, env={"BILENS_TEST_WRITE_DELAY_MS": 20})
        wait_for(lambda: list(out.glob("checkpoints/step-*/DONE")), process=first)
        stop(first, signal.SIGKILL)
        complete = {p.parent: files_below(p.parent) for p in out.glob("checkpoints/step-*/DONE")}
        self.assertTrue(complete)
        self.assertFalse((out / "model").exists())

        # Then the disk is full where the weights still fit, and the optimizer's moments do not.
        result = run("train", config, "--out", out, "--resume", preexec_fn=limit(resource.RLIMIT_FSIZE, size + 10000))
        self.check(result, 5, "optimizer.safetensors", "Free some disk space")
        self.assertFalse((out / "model").exists())
        for folder, files in complete.items():
            self.assertEqual(files_below(folder), files)
        self.assertEqual(list(out.glob("checkpoints/.partial-*")) + list(out.glob(".partial-*")), [])

        self.check(run("train", config, "--out", out, "--resume"), 0)
        self.assertEqual(
            (out / "model/model.safetensors").read_bytes(), (whole / "model/model.safetensors").read_bytes()
        )

    def test_in_the_metrics(self):
        config, out = self.small_config(train={"epochs": 50}), self.folder / "out"
        result = run("train", config, "--out", out, "--json", preexec_fn=limit(resource.RLIMIT_FSIZE, 4000))
        self.check(result, 5)
        failure = self.document(result)["failures"][0]
        self.assertEqual(failure["code"], 5)
        self.assertIn("Free some disk space", failure["message"])


class Memory(TestCase):
    @unittest.skipIf("BILENS_SANITIZED" in os.environ, "the address sanitizer needs the address space itself")
    def test_a_model_beyond_the_address_space(self):
        data = self.small_data(height=1, width=2)
        config = self.small_config(data, model={"d_model": 2**20, "d_hidden": 2**20})
        result = run(
            "train", config, "--out", self.folder / "out", "--json", preexec_fn=limit(resource.RLIMIT_AS, 100 * 2**30)
        )  # one projection needs 4 TB
        self.check(result, 5)
        self.assertIn("memory", self.document(result)["failures"][0]["message"])

    def test_the_dry_run_says_so_beforehand(self):
        config = self.small_config(self.small_data(height=1, width=2), model={"d_model": 2**20, "d_hidden": 2**20})
        result = run("train", config, "--out", self.folder / "out", "--json", "--dry-run")
        self.check(result, 5)
        document = self.document(result)
        self.assertIn("memory", [problem["where"] for problem in document["problems"]])
        self.assertGreater(document["estimate"]["memory_bytes"], 4 * 2**42)
        self.assertFalse((self.folder / "out").exists())


def write_done(checkpoint):
    """DONE as of a checkpoint that was written like this."""
    names = sorted(path.name for path in checkpoint.iterdir() if path.name != "DONE")
    sums = [f"{hashlib.sha256((checkpoint / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (checkpoint / "DONE").write_text("".join(sums))


class Resume(TestCase):
    def setUp(self):
        super().setUp()
        self.config, self.out = self.small_config(train={"epochs": 4}), self.folder / "out"
        self.check(run("train", self.config, "--out", self.out), 0)
        self.expected = files_below(self.out / "model")
        for path in (self.out / "model").iterdir():
            path.unlink()
        (self.out / "model").rmdir()
        self.newest = max(self.out.glob("checkpoints/step-*"), key=lambda p: int(p.name[5:]))

    def resume(self, *flags):
        return run("train", self.config, "--out", self.out, "--resume", *flags)

    def test_from_a_partial_checkpoint_the_one_before_is_taken(self):
        (self.newest / "DONE").unlink()
        (self.newest / "model.safetensors").write_bytes(b"half")
        self.check(self.resume(), 0, "not complete", "continuing at step 12 of 16")
        self.assertEqual(files_below(self.out / "model"), self.expected)

    def damages(self, folder):
        """Ways to damage a checkpoint; each yields the file that is then bad, and is undone behind it."""
        for name, damages in (
            ("optimizer.safetensors", "cut empty longer changed"),
            ("model.safetensors", "cut missing changed"),
            ("trainer.json", "cut zeros renumbered"),
        ):
            path = folder / name
            good = path.read_bytes()
            for damage in damages.split():
                if damage == "missing":
                    path.unlink()
                else:
                    path.write_bytes(
                        {
                            "cut": good[:-4],
                            "empty": b"",
                            "longer": good + b"\0",
                            "zeros": b"\0" * len(good),
                            "changed": good[:-1] + bytes([good[-1] ^ 1]),
                            "renumbered": good.replace(b'"step": 16', b'"step": 17'),
                        }[damage]
                    )
                yield name
                path.write_bytes(good)

    def test_from_a_damaged_checkpoint_the_one_before_is_taken(self):
        for name in self.damages(self.newest):
            whole = files_below(self.out / "checkpoints")
            self.check(self.resume(), 0, "step-16 is damaged and passed over", name, "continuing at step 12 of 16")
            self.assertEqual(files_below(self.out / "model"), self.expected)
            shutil.rmtree(self.out / "model")
            self.assertEqual({p.name for p in (self.out / "checkpoints").iterdir()}, {"step-12", "step-16"})
            shutil.rmtree(self.out / "checkpoints")
            for path, content in whole.items():
                self.write(f"out/checkpoints/{path}", content)

    def test_where_no_checkpoint_is_whole_nothing_is_begun(self):
        before = self.newest.parent / "step-12"
        (before / "model.safetensors").write_bytes(b"half")
        (self.newest / "trainer.json").write_text("{")
        left = files_below(self.out / "checkpoints")
        self.check(self.resume(), 3, "step-16/trainer.json", "step-12/model.safetensors", "No checkpoint is whole")
        self.assertEqual(files_below(self.out / "checkpoints"), left)

    def test_a_newer_format_is_refused(self):
        path = self.newest / "trainer.json"
        state = json.loads(path.read_text())
        state["format_version"] = 2
        path.write_text(json.dumps(state))
        write_done(self.newest)
        before = files_below(self.newest)
        self.check(self.resume(), 3, "trainer.json", "version 1", "version 2")
        self.assertEqual(files_below(self.newest), before)

    def test_another_config_is_refused_with_every_difference(self):
        before = files_below(self.out)
        result = self.resume("--set", "train.learning_rate=0.5", "--set", "model.bias=true", "--seed", "9")
        self.check(result, 2, "train.learning_rate", "model.bias", "train.seed", "0.01", "found 0.5", "--out")
        after = files_below(self.out)
        self.assertEqual(after, before)

    def test_where_it_computes_and_how_often_it_saves_may_change(self):
        self.check(self.resume("--threads", "2", "--set", "checkpoint.keep_last=5"), 0)
        self.assertEqual(json.loads((self.out / "config.json").read_text())["threads"], 2)

    def test_a_folder_with_nothing_to_resume_starts_anew(self):
        new = self.folder / "new"
        self.check(run("train", self.config, "--out", new, "--resume"), 0)
        self.assertEqual(files_below(new / "model"), self.expected)


class Signals(TestCase):
    def begin(self, number, *flags, **env):
        """A run in a folder of its own, in the midst of its steps; the only checkpoint is that of the signal."""
        config = self.small_config(train={"epochs": 1000000}, checkpoint={"every_epochs": 1000000})
        self.out = self.folder / f"out-{number}"
        process = start("train", config, "--out", self.out, *flags, env=env)
        self.addCleanup(process.kill)
        wait_for(lambda: (self.out / "metrics.jsonl").exists() and read_count(self.out) > 3, process=process)
        return process

    def partial(self):
        return list(self.out.glob("checkpoints/.partial-*"))

    def test_the_first_one_saves_and_ends_with_75(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                process = self.begin(number, "--json")
                process.send_signal(number)
                stdout, stderr = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 75, stderr)
                failure = json.loads(stdout)["failures"][0]
                self.assertEqual(failure["code"], 75)
                self.assertIn("--resume", failure["message"])
                # The checkpoint stands at the very step that the metrics end with.
                last = read_metrics(self.out)[-1]["step"]
                self.assertTrue((self.out / f"checkpoints/step-{last}/DONE").exists())
                self.assertEqual(self.partial(), [])

    def test_a_second_one_ends_at_once(self):
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            with self.subTest(number):
                # Each write takes two seconds, and a checkpoint has more than ten of them.
                process = self.begin(number, BILENS_TEST_WRITE_DELAY_MS=2000)
                process.send_signal(number)
                wait_for(self.partial, process=process)
                begin = time.monotonic()
                returned, stderr = stop(process, number)
                self.assertEqual(returned, code, stderr)
                self.assertLess(time.monotonic() - begin, 5)
                self.assertTrue(self.partial(), "the checkpoint was still being written")


class Device(TestCase):
    def test_cuda_without_a_gpu(self):
        """Hidden from the program where there is one."""
        result = run(
            "train",
            self.small_config(),
            "--out",
            self.folder / "out",
            "--device",
            "cuda",
            env={"CUDA_VISIBLE_DEVICES": ""},
        )
        self.check(result, 2, "--device cuda", "Use --device cpu")
        self.assertFalse((self.folder / "out").exists())

    def test_a_device_that_does_not_exist(self):
        self.check(
            run("train", self.small_config(), "--out", self.folder / "out", "--device", "gpu"),
            2,
            "auto, cpu, cuda or cuda:N",
            "gpu",
        )

    def test_unreadable_files(self):
        if os.geteuid() == 0:
            self.skipTest("root reads everything")
        config = self.small_config()
        config.chmod(0)
        self.check(run("train", config, "--out", self.folder / "out"), 2, "config.json", "Permission denied")
