"""`bilens finetune` killed or stopped in every stage, and gone on with as if nothing had been."""

import hashlib
import json
import shutil
import signal
import time

from safetensors.numpy import load_file, save_file

from bilens_cli import run, start, stop, wait_for
from finetuning import FinetuneCase


class FinetuneResume(FinetuneCase):
    def test_killed_in_every_stage_and_resumed(self):
        train = {"steps": 60, "optimizer": "muon"}  # whose state and AdamW's come back
        changes = {
            "train": train,
            "stages": [{"kind": "widen"}, {"kind": "calibrate", "tokens": 4000}, {"kind": "settle"}],
        }
        self.finetune("whole", **changes)
        config, out = self.config(**changes), self.folder / "killed"
        for place in ("calibrated", "checkpoints/step-10", "checkpoints/step-30"):
            process = start("finetune", config, "--out", out, "--resume", "--quiet")
            wait_for(lambda: (out / place).exists(), process=process)
            code, stderr = stop(process, signal.SIGKILL)
            self.assertEqual(code, -signal.SIGKILL, stderr)
            self.assertFalse((out / "model").exists())
        self.check(run("finetune", config, "--out", out, "--resume"), 0)
        for name in ("model/model.safetensors", "finetune.json", "calibrated/model.safetensors"):
            self.assertEqual((out / name).read_bytes(), (self.folder / "whole" / name).read_bytes(), name)
        # A finished run says what it found.
        again = self.document(self.check(run("finetune", config, "--out", out, "--resume", "--json"), 0, "finished"))
        self.assertEqual(again["results"][0]["test"], json.loads((out / "finetune.json").read_text())["test"])
        self.check(
            run("finetune", self.config(**{**changes, "train": {**train, "seed": 9}}), "--out", out, "--resume"),
            2,
            "train.seed",
        )

    def test_stopped_in_the_closed_form_and_resumed(self):
        changes = {
            "stages": [
                {"kind": "widen", "factor": 16},
                {"kind": "calibrate", "tokens": 4000, "sweeps": 8},
                {"kind": "settle"},
            ],
            "train": {"steps": 4},
        }
        _, account = self.finetune("whole", **changes)
        config, out = self.config(**changes), self.folder / "stopped"
        process = start("finetune", config, "--out", out, "--resume")
        wait_for((out / "env.json").exists, process=process)
        time.sleep(0.1)  # the closed form takes some 2 s
        code, stderr = stop(process, signal.SIGTERM)
        self.assertEqual(code, 75, stderr)
        self.assertFalse((out / "calibrated").exists())
        self.check(run("finetune", config, "--out", out, "--resume"), 0)
        for name in ("model/model.safetensors", "finetune.json"):
            self.assertEqual((out / name).read_bytes(), (self.folder / "whole" / name).read_bytes(), name)

    def test_other_weights_are_not_gone_on_with(self):
        teacher = self.folder / "teacher"
        for name, stages, place in (
            ("swapped", [{"kind": "settle"}], "checkpoints/step-10"),
            ("calibrated", [{"kind": "calibrate", "tokens": 4000}, {"kind": "settle"}], "calibrated"),
        ):
            shutil.copytree(self.teacher, teacher, dirs_exist_ok=True)
            config, out = self.config(teacher=str(teacher), stages=stages, train={"steps": 60}), self.folder / name
            process = start("finetune", config, "--out", out, "--quiet")
            wait_for((out / place).exists, process=process)
            stop(process, signal.SIGKILL)
            known = json.loads((out / "config.json").read_text())["teacher_sha256"]
            self.assertEqual(known, hashlib.sha256((teacher / "model.safetensors").read_bytes()).hexdigest())
            weights = load_file(teacher / "model.safetensors")
            weights["model.norm.weight"] *= 1.5
            save_file(weights, teacher / "model.safetensors", metadata={"format": "pt"})
            self.check(run("finetune", config, "--out", out, "--resume"), 2, "teacher_sha256", known)
        # Nor where the closed form alone was kept, nor where the config says which weights are meant.
        shutil.copytree(out / "calibrated", self.folder / "copied/calibrated")
        self.check(
            run("finetune", config, "--out", self.folder / "copied", "--resume"),
            3,
            "calibrated",
            "made of the weights of",
        )
        self.check(
            run("finetune", config, "--out", self.folder / "pinned", "--set", f"teacher_sha256={known}"),
            3,
            "teacher_sha256",
            known,
            str(teacher),
        )
        self.assertFalse((self.folder / "pinned").exists())

    def test_annealed_and_baseline_runs_are_killed_and_resumed(self):
        """Within the annealing, behind its border, and in the training of the unconverted model."""
        for name, changes, places in (
            (
                "annealed",
                {"stages": [{"kind": "anneal", "fraction": 0.5}, {"kind": "settle"}]},
                ("checkpoints/step-10", "checkpoints/step-40"),
            ),
            ("continued", {"baseline": "continue"}, ("checkpoints/step-20",)),
        ):
            changes["train"] = {"steps": 60}
            self.finetune(name, **changes)
            config, out = self.config(**changes), self.folder / f"{name}-killed"
            for place in places:
                process = start("finetune", config, "--out", out, "--resume", "--quiet")
                wait_for(lambda: (out / place).exists(), process=process)
                stop(process, signal.SIGKILL)
                self.assertFalse((out / "model").exists())
            self.check(run("finetune", config, "--out", out, "--resume"), 0)
            for file in ("model/model.safetensors", "finetune.json"):
                self.assertEqual((out / file).read_bytes(), (self.folder / name / file).read_bytes(), f"{name}: {file}")
