"""Several processes train one model together: the bits of one process, and one that goes ends all with its name."""
# labels: slow

import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import time
import unittest

import numpy

from bilens_cli import BILENS, TIMEOUT, TestCase, files_below, read_metrics, run, wait_for
from finetuning import FinetuneCase
from launching import Launch, free_port, torchrun, variables

# Some hundredths of a second a step, so that signals find the processes at work.
CONFIG = {
    "model": {
        "type": "llama",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vocab_size": 64,
        "max_position_embeddings": 64,
    },
    "data": {"dataset": "tokens", "context": 64, "packing": "plain", "held_out": 0.1},
    "train": {"steps": 12, "batch_size": 16, "learning_rate": 1e-3, "clip_norm": 0.5, "validate_every": 5},
    "checkpoint": {"every_steps": 4, "keep_last": 9},
    "device": "cpu",
    "threads": 1,
}
KILLS = int(os.environ.get("BILENS_KILLS", "3"))  # that one run survives in a row
# What a run says of itself that depends on time and place.
OWN = ("tokens_per_second", "mfu", "peak_memory")


def same_lines(folder):
    return [{key: value for key, value in line.items() if key not in OWN} for line in read_metrics(folder)]


class RanksCase(TestCase):
    def setUp(self):
        super().setUp()
        tokens = numpy.random.default_rng(0).integers(0, 64, 20_000).astype("<u2")
        self.data = self.write("tokens.bin", tokens.tobytes())

    def config_of(self, name="together.json", **changes):
        config = json.loads(json.dumps(CONFIG))
        config["data"]["path"] = str(self.data)
        for section, values in changes.items():
            config[section] = {**config[section], **values} if isinstance(values, dict) else values
        return self.write(name, json.dumps(config))

    def launch(self, count, out, *flags, config=None, **options):
        command = ("train", config or self.config_of(), "--out", self.folder / out, *flags)
        return Launch(count, *command, case=self, **options)

    def one(self, out, *flags, config=None):
        command = ("train", config or self.config_of(), "--out", self.folder / out, *flags)
        return self.check(run(*command), 0)

    def well(self, launch):
        """What each process printed, of a launch that ends well."""
        found = launch.ended()
        for code, _, stderr in found:
            self.assertEqual(code, 0, stderr)
        return found

    def same_weights(self, one, other):
        """All weights and moments, to the last bit."""
        ours, theirs = (
            {k: v for k, v in files_below(self.folder / f).items() if ".safetensors" in k} for f in (one, other)
        )
        self.assertEqual(ours.keys(), theirs.keys())
        for name in ours:
            self.assertTrue(ours[name] == theirs[name], name)

    def failed(self, ended, rank, *parts):
        """A process that ended because of another."""
        code, stdout, stderr = ended[rank]
        self.assertEqual(code, 1, stderr)
        self.assertEqual(stdout, "")
        for part in parts:
            self.assertIn(part, stderr)
        self.assertNotIn("terminate called", stderr)


class Together(RanksCase):
    def test_two_and_four_processes_give_the_bits_of_one(self):
        self.one("one")
        for count in (2, 4):
            out = f"of-{count}"
            ended = self.well(self.launch(count, out, "--json"))
            results = json.loads(ended[0][1])["results"]
            self.assertEqual(results[0]["steps"], 12)
            self.assertIn("training tokens", ended[0][2])
            for _, stdout, stderr in ended[1:]:
                self.assertEqual((stdout, stderr), ("", ""))
            self.same_weights("one", out)
            self.assertEqual(same_lines(self.folder / out), same_lines(self.folder / "one"))
            self.assertEqual(json.loads((self.folder / out / "env.json").read_text())["processes"], count)
        self.assertNotIn("processes", (self.folder / "one/env.json").read_text())

    def test_other_optimizers_give_the_bits_of_one(self):
        for name, optimizer in {"muon": {"optimizer": "muon"}, "rounded": {"moments": "bfloat16"}}.items():
            config = self.config_of(train=optimizer)
            self.one(name, config=config)
            self.well(self.launch(2, f"{name}-of-2", config=config))
            self.same_weights(name, f"{name}-of-2")

    def test_three_processes_agree_with_one_to_rounding(self):
        self.one("one")
        self.well(self.launch(3, "three"))
        for ours, theirs in zip(same_lines(self.folder / "three"), same_lines(self.folder / "one"), strict=True):
            if "loss" in ours:
                self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=1e-5)

    def test_threads_and_parts_of_a_batch_change_no_bit(self):
        self.one("one")
        self.one("threads", "--threads", 3)
        self.same_weights("one", "threads")
        small = self.config_of("small.json", train={"micro_batch": 2})
        self.one("parts", config=small)
        self.well(self.launch(2, "parts-of-two", config=small))
        self.same_weights("parts", "parts-of-two")

    def test_images(self):
        config = self.small_config(device="cpu")
        self.one("one", config=config)
        self.well(self.launch(2, "two", config=config))
        for ours, theirs in zip(same_lines(self.folder / "two"), same_lines(self.folder / "one"), strict=True):
            self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=1e-5)
            self.assertAlmostEqual(ours["accuracy"], theirs["accuracy"], delta=1e-6)

    def test_a_stopped_run_goes_on_with_another_number(self):
        self.one("one", config=self.config_of(train={"steps": 60}))
        config, out = self.config_of(train={"steps": 60}), self.folder / "shared"
        launch = self.launch(2, "shared", config=config)
        wait_for(lambda: (out / "checkpoints/step-4").exists(), process=launch.processes[0])
        launch.signal(1, signal.SIGTERM)  # torchrun sends it to all; here one has to tell the other
        for code, _, stderr in launch.ended():
            self.assertEqual(code, 75, stderr)
        launch = self.launch(4, "shared", "--resume", config=config)
        before = set((out / "checkpoints").glob("step-*"))
        wait_for(lambda: set((out / "checkpoints").glob("step-*")) - before, process=launch.processes[0])
        launch.signal(0, signal.SIGINT)
        ended = launch.ended()
        self.assertEqual([code for code, _, _ in ended], [75] * 4, ended)
        self.one("shared", "--resume", config=config)
        self.assertTrue(
            (out / "model/model.safetensors").read_bytes() == (self.folder / "one/model/model.safetensors").read_bytes()
        )
        # Finished: the first says so, all end well.
        ended = self.well(self.launch(2, "shared", "--resume", config=config))
        self.assertIn("this run is finished", ended[0][2])

    def test_a_dry_run_speaks_once(self):
        ended = self.well(self.launch(2, "none", "--dry-run"))
        self.assertIn("memory_bytes", ended[0][1])
        self.assertEqual(ended[1][1:], ("", ""))
        self.assertFalse((self.folder / "none").exists())

    def test_variables_of_other_launchers(self):
        self.one("one")
        for name, others in {
            "slurm": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE"),
            "mpi": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"),
        }.items():
            port, processes = free_port(), []
            for rank in range(2):
                told = dict(zip(others, map(str, (rank, 2, 2))))
                told["MASTER_PORT"] = str(port)
                command = [BILENS, "train", str(self.config_of()), "--out", str(self.folder / name)]
                environment = {**os.environ, **told}
                processes.append(
                    subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                )
            for process in processes:
                _, stderr = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 0, stderr)
            self.same_weights("one", name)

    def test_torchrun(self):
        try:
            import torch  # noqa: F401
        except ImportError:
            if os.environ.get("BILENS_REQUIRE_PEERS") == "1":
                raise
            self.skipTest("no torch in this Python")
        self.one("one")
        command = torchrun(2, os.path.abspath(BILENS), "train", self.config_of(), "--out", self.folder / "two")
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.same_weights("one", "two")


class Stops(RanksCase):
    def test_a_signal_to_one_in_a_validation_ends_all_with_a_checkpoint(self):
        tokens = numpy.random.default_rng(1).integers(0, 64, 1_200_000).astype("<u2")
        data = {"path": str(self.write("many.bin", tokens.tobytes())), "held_out": 0.45}
        train = {"steps": 3, "validate_every": 1}
        config = self.config_of(data={**CONFIG["data"], **data}, train={**CONFIG["train"], **train})
        self.one("one", config=config)
        for rank in (0, 1):
            launch = self.launch(2, f"stopped-{rank}", config=config)
            metrics = self.folder / f"stopped-{rank}/metrics.jsonl"
            wait_for(lambda: metrics.exists() and metrics.read_text(), process=launch.processes[0])
            launch.signal(rank, signal.SIGTERM)  # the step is written, its validation takes many seconds
            for code, _, stderr in launch.ended():
                self.assertEqual(code, 75, stderr)
            self.assertEqual(len(metrics.read_text().splitlines()), 1)
            self.assertTrue((self.folder / f"stopped-{rank}/checkpoints/step-1").is_dir())
            # What was missing of the step is made up for.
            self.one(f"stopped-{rank}", "--resume", config=config)
            self.assertEqual(same_lines(self.folder / f"stopped-{rank}"), same_lines(self.folder / "one"))


class Faults(RanksCase):
    def long(self, **changes):
        return self.config_of(train={"steps": 100_000}, checkpoint={"every_steps": 4, "keep_last": 2}, **changes)

    def at_work(self, count, out="shared", **options):
        launch = self.launch(count, out, **options)
        checkpoints = self.folder / out / "checkpoints"
        wait_for(lambda: any(checkpoints.glob("step-*")), process=launch.processes[0])
        return launch

    def test_a_killed_process_ends_the_others_with_its_name(self):
        config = self.long()
        for count, killed in ((2, 1), (2, 0), (3, 2), (4, 2)):
            out = f"{killed}-of-{count}"
            launch = self.at_work(count, out, config=config)
            began = time.monotonic()
            launch.signal(killed)
            ended = launch.ended()
            self.assertLess(time.monotonic() - began, 60)
            self.assertEqual(ended[killed][0], -signal.SIGKILL)
            for rank in set(range(count)) - {killed}:
                self.failed(ended, rank, f"rank {killed} of {count}", "went away", "--resume goes on")

    def test_what_a_kill_left_goes_on_to_the_same_end(self):
        config = self.config_of(train={"steps": 40})
        self.one("one", config=config)
        for killed in (0, 1):
            self.at_work(2, f"killed-{killed}", config=config).signal(killed)
        for killed in (0, 1):
            out = self.folder / f"killed-{killed}"
            wait_for(lambda: run("train", config, "--out", out, "--resume").returncode == 0, seconds=120)
            self.assertTrue(
                (out / "model/model.safetensors").read_bytes()
                == (self.folder / "one/model/model.safetensors").read_bytes()
            )

    def test_a_run_that_is_killed_at_any_time_and_goes_on_loses_nothing(self):
        config = self.config_of(
            train={"steps": 40 * KILLS}, checkpoint={"every_steps": 4, "keep_last": 2}, rank_timeout=15
        )
        self.one("one", config=config)
        chance = random.Random(KILLS)
        survivors = 0
        for _ in range(KILLS):
            count = chance.choice((2, 4))  # which give the bits of one
            killed = chance.randrange(count)
            launch = self.launch(count, "killed", "--resume", config=config)
            # From before the processes have met until many steps later.
            time.sleep(chance.uniform(0.0, 0.5 + count))
            launch.signal(killed)
            ended = launch.ended()
            for rank in set(range(count)) - {killed}:
                self.assertIn(ended[rank][0], (0, 1), ended[rank][2])
                if ended[rank][0] == 1:
                    self.assertIn(f"rank {killed}", ended[rank][2])
                    survivors += 1
        self.assertGreater(survivors, 0)
        self.one("killed", "--resume", config=config)
        self.same_weights("one", "killed")
        self.assertEqual(same_lines(self.folder / "killed"), same_lines(self.folder / "one"))

    def test_a_process_that_hangs_is_named_when_its_time_is_over(self):
        config = self.long(rank_timeout=6)
        for count, hung in ((2, 0), (2, 1), (4, 3)):
            launch = self.at_work(count, f"{hung}-of-{count}", config=config)
            launch.signal(hung, signal.SIGSTOP)
            for rank in set(range(count)) - {hung}:
                _, stderr = launch.processes[rank].communicate(timeout=60)
                self.assertEqual(launch.processes[rank].returncode, 1, stderr)
                self.assertIn(f"rank {hung} of {count}", stderr)
            launch.signal(hung)

    def test_damaged_checkpoints_of_the_first_end_all_with_its_words(self):
        config = self.config_of(train={"steps": 8})
        launch = self.at_work(2, config=config)
        launch.signal(0)
        launch.ended()
        shutil.rmtree(self.folder / "shared/model", ignore_errors=True)
        for file in (self.folder / "shared/checkpoints").glob("*/trainer.json"):
            file.write_text("{}")
        ended = self.launch(2, "shared", "--resume", config=config).ended()
        self.assertEqual(ended[0][0], 3, ended[0][2])
        self.failed(ended, 1, "rank 0: ", "trainer.json")

    def test_a_full_disk_of_the_first_ends_all_with_its_words(self):
        def limited():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

        ended = self.launch(2, "full", options_of={0: {"preexec_fn": limited}}).ended()
        self.assertEqual(ended[0][0], 5, ended[0][2])
        self.failed(ended, 1, "rank 0", "Free some disk space")

    def test_processes_that_do_not_come(self):
        config = self.config_of(rank_timeout=2)
        for rank in (0, 1):
            told = variables(rank, 2, free_port())
            result = run("train", config, "--out", self.folder / "none", env=told)
            self.check(result, 1, f"rank {1 - rank}" if rank == 0 else "rank 0 at", "2 s")
        self.assertFalse((self.folder / "none").exists())

    def test_a_port_in_use(self):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            bound.listen()
            port = bound.getsockname()[1]
            result = run("train", self.config_of(), "--out", self.folder / "none", env=variables(0, 2, port))
            self.check(result, 2, "MASTER_PORT", f"{port}, which is in use")

    def test_other_configs_and_data_are_refused(self):
        ended = self.launch(2, "shared", flags_of={1: ("--set", "train.learning_rate=0.5")}).ended()
        self.assertEqual(ended[1][0], 2, ended[1][2])
        self.assertIn("learning_rate", ended[1][2])
        self.failed(ended, 0, "rank 1: ", "learning_rate")
        other = self.write("other.bin", self.data.read_bytes()[2:])
        ended = self.launch(2, "shared", flags_of={1: ("--set", f"data.path={other}")}).ended()
        self.assertEqual(ended[1][0], 2, ended[1][2])
        self.assertIn("sha256 of the data", ended[1][2])
        self.failed(ended, 0, "sha256 of the data")
        self.assertFalse((self.folder / "shared/config.json").exists())

    def test_variables_that_cannot_be(self):
        for told in (
            {"RANK": "2", "WORLD_SIZE": "2"},
            {"RANK": "x", "WORLD_SIZE": "2"},
            {"RANK": "0", "WORLD_SIZE": "0"},
        ):
            result = run("train", self.config_of(), "--out", self.folder / "none", env=told)
            self.check(result, 2, "environment variable", "A launcher such as torchrun sets it")
        told = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}
        self.check(run("train", self.config_of(), "--out", self.folder / "none", env=told), 2, "MASTER_ADDR")


class Finetuning(FinetuneCase):
    def test_two_processes_give_the_bits_of_one(self):
        config = self.config(device="cpu")
        command = ("finetune", config, "--out")
        self.check(run(*command, self.folder / "one"), 0)
        launch = Launch(2, *command, self.folder / "two", case=self)
        for code, _, stderr in launch.ended():
            self.assertEqual(code, 0, stderr)
        for file in ("model/model.safetensors", "calibrated/model.safetensors", "test.safetensors"):
            one, two = (self.folder / run_folder / file for run_folder in ("one", "two"))
            self.assertTrue(one.read_bytes() == two.read_bytes(), file)


if __name__ == "__main__":
    unittest.main()
