"""`bilens train` for language models: from a text to a model directory; killed, resumed, refused."""

import json
import re
import signal
import struct

import numpy

from bilens_cli import DEVICE, ROOT, read_metrics, run, start, stop, wait_for
from texts import TextCase


class TrainText(TextCase):
    def config(self, **changes):
        config = {
            "model": {
                "type": "llama",
                "hidden_size": 16,
                "intermediate_size": 24,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "hidden_act": "linear",
                "max_position_embeddings": 64,
            },
            "data": {"dataset": "text", "path": str(self.text), "tokenizer": str(self.tokenizer), "context": 32},
            "train": {"steps": 12, "batch_size": 8, "learning_rate": 1e-2, "validate_every": 6, "seed": 1},
            "checkpoint": {"every_steps": 5},
            "device": DEVICE,
            "threads": 1,
        }
        return self.write_config(config, changes)

    def train(self, config, *flags, out="run"):
        return run("train", config, "--out", self.folder / out, *flags)

    def test_from_a_text_to_a_model(self):
        config = self.config(train={"sample": {"prompt": "The dog", "max_tokens": 8}})
        result = self.document(self.check(self.train(config, "--json"), 0))["results"][0]
        out = self.folder / "run"
        names = {re.sub(r"tfevents.*", "tfevents", str(p.relative_to(out))) for p in out.rglob("*") if p.is_file()}
        checkpoint = (
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "optimizer.safetensors",
            "trainer.json",
            "DONE",
        )
        model = (
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.model",
            "tokenizer_config.json",
        )
        self.assertEqual(
            names,
            {"config.json", "env.json", "metrics.jsonl", "events.out.tfevents"}
            | {f"model/{name}" for name in model}
            | {f"checkpoints/step-{n}/{name}" for n in (10, 12) for name in checkpoint},
        )
        written = json.loads((out / "model/config.json").read_text())
        self.assertEqual((written["hidden_act"], written["vocab_size"], written["bos_token_id"]), ("linear", 320, 1))
        self.assertEqual(written["eos_token_id"], [2, 1])

        records = read_metrics(out)
        steps = [r for r in records if "split" not in r]
        self.assertEqual([r["step"] for r in steps], list(range(1, 13)))
        self.assertEqual(set(steps[0]), {"step", "epoch", "loss", "grad_norm", "lr", "tokens_per_second", "mfu"})
        self.assertLess(abs(steps[0]["loss"] - numpy.log(320)), 0.1)  # new weights know nothing
        self.assertLess(steps[-1]["loss"], steps[0]["loss"] - 0.5)
        self.assertEqual(
            [(r["split"], r["step"]) for r in records if "split" in r],
            [("validation", 6), ("sample", 6), ("validation", 12), ("sample", 12), ("test", 12)],
        )
        for record in records:
            if record.get("split") == "sample":
                self.assertTrue(record["text"].startswith("The dog"), record)
        test = records[-1]
        self.assertAlmostEqual(test["perplexity"], numpy.exp(test["loss"]), delta=1e-9)
        for key in ("tokens", "loss", "perplexity"):
            self.assertEqual(result[key], test[key])
        for key in ("tokens_per_second", "peak_memory_bytes"):
            self.assertGreater(result[key], 0)
        self.assertEqual((result["skipped_steps"], result["loss_spikes"]), (0, 0))

        # The finished model evaluates to the recorded test loss on the run's own data, and continues a prompt.
        again = self.document(self.check(run("evaluate", out / "model", "--json", "--threads", 1), 0))["results"][0]
        self.assertEqual((again["tokens"], again["context"]), (test["tokens"], 32))
        self.assertAlmostEqual(again["loss"], test["loss"], delta=1e-6)  # other memory layout, other products
        self.check(run("generate", out / "model", "--prompt", "The dog", "--max-tokens", 4), 0)
        # A run that is finished says so and changes nothing.
        before = (out / "model/model.safetensors").read_bytes()
        finished = self.check(self.train(config, "--resume", "--json"), 0, "finished")
        self.assertAlmostEqual(self.document(finished)["results"][0]["loss"], test["loss"], delta=1e-6)
        self.assertEqual((out / "model/model.safetensors").read_bytes(), before)
        # The resolved config repeats it.
        self.check(self.train(out / "config.json", out="again"), 0)
        self.assertEqual((self.folder / "again/model/model.safetensors").read_bytes(), before)

    def test_a_model_is_studied_on_text_that_it_was_not_trained_on(self):
        """Also where its run looked at nothing but the training part."""
        self.check(self.train(self.config(data={"split": "train"})), 0)
        self.check(
            run(
                "decompose",
                self.folder / "run/model",
                "--out",
                self.folder / "out",
                "--set",
                'analyses=["corpus"]',
                "--set",
                "k=4",
            ),
            0,
        )
        data = json.loads((self.folder / "out/corpus.json").read_text())["data"]
        self.assertEqual((data["split"], data["path"]), ("validation", str(self.text)))
        # Eigenvectors that were chosen there are changed on text that they were not chosen on.
        done = run("intervene", self.folder / "out", "--json", "--set", "layer=0", "--set", "intervention.controls=1")
        data = self.document(self.check(done, 0))["results"][0]["data"]
        self.assertEqual((data["split"], data["path"]), ("test", str(self.text)))

    def test_killed_and_stopped_runs_end_in_the_same_weights(self):
        config = self.config(train={"steps": 400}, checkpoint={"every_steps": 20})
        self.check(self.train(config, out="whole"), 0)
        out = self.folder / "killed"
        for i, number in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT)):
            process = start("train", config, "--out", out, "--resume", "--quiet")
            wait_for(lambda: (out / f"checkpoints/step-{60 + 60 * i}").exists(), process=process)
            code, stderr = stop(process, number)
            self.assertEqual(code, -number if number == signal.SIGKILL else 75, stderr)
            self.assertFalse((out / "model").exists())
        self.check(run("train", config, "--out", out, "--resume"), 0, "continuing at step")
        whole = self.folder / "whole"
        self.assertEqual(
            (out / "model/model.safetensors").read_bytes(), (whole / "model/model.safetensors").read_bytes()
        )
        timeless = [
            [
                {k: v for k, v in record.items() if k not in ("tokens_per_second", "mfu", "peak_memory")}
                for record in read_metrics(folder)
            ]
            for folder in (out, whole)
        ]
        self.assertEqual(*timeless)
        other = self.config(train={"steps": 400, "learning_rate": 2e-2}, checkpoint={"every_steps": 20})
        self.check(run("train", other, "--out", out, "--resume"), 2, "learning_rate", "0.01", "0.02")

    def test_token_files(self):
        rng = numpy.random.default_rng(0)
        tokens = rng.integers(0, 50, 20000).astype("<u2")
        plain = self.write("tokens.bin", tokens.tobytes())
        data = {"dataset": "tokens", "path": str(plain), "tokenizer": ""}
        model = {"vocab_size": 50}
        self.check(self.train(self.config(data=data, model=model)), 2, "data.tokenizer", "data.packing=plain")
        config = self.config(data={**data, "packing": "plain"}, model=model)
        self.check(self.train(config), 0)
        records = read_metrics(self.folder / "run")
        self.assertEqual({r["split"] for r in records if "split" in r}, {"validation", "test"})
        self.assertFalse((self.folder / "run/model/tokenizer.model").exists())
        # llm.c's header is known; a part that is not held back is not evaluated.
        header = struct.pack("<3i", 20240520, 1, len(tokens)).ljust(1024, b"\0")
        framed = self.write("framed.bin", header + tokens.tobytes())
        config = self.config(data={**data, "path": str(framed), "packing": "plain", "held_out": 0}, model=model)
        result = self.document(self.check(self.train(config, "--json", out="framed"), 0))["results"][0]
        self.assertNotIn("loss", result)
        self.assertEqual([r for r in read_metrics(self.folder / "framed") if "split" in r], [])
        # Ids that the model has no row for.
        config = self.config(data={**data, "packing": "plain"}, model={"vocab_size": 40})
        self.check(self.train(config, out="bad"), 3, "vocabulary's size, 40")

    def refuse(self, code, *parts, **changes):
        """The run names the problem, and nothing is written."""
        self.check(self.train(self.config(**changes), out="bad"), code, *parts)
        self.assertFalse((self.folder / "bad").exists())

    def test_a_dry_run_names_all_problems_at_once(self):
        self.write("bad/file", "not empty")
        config = self.config(data={"context": 65}, model={"num_attention_heads": 3}, device="cuda:99")
        result = self.check(self.train(config, "--dry-run", "--json", out="bad"), 2)
        text = json.dumps(self.document(result)["problems"])
        for part in ("data.context", "hidden_size", "--device", "an empty or new folder"):
            self.assertIn(part, text)

    def test_bad_input(self):
        self.refuse(2, "config.json: data.tokenizer", "bilens tokenizer train", data={"tokenizer": ""})
        self.refuse(2, "config.json: data.path", data={"path": ""})
        self.refuse(2, "data.split", "held back", data={"split": "test"})
        self.refuse(2, "data.context", "64 positions", data={"context": 65})
        self.refuse(2, "hidden_size", "multiple of num_attention_heads", model={"num_attention_heads": 3})
        self.refuse(2, "num_key_value_heads", model={"num_attention_heads": 4, "num_key_value_heads": 3})
        self.refuse(2, "hidden_act", 'Did you mean "silu"?', model={"hidden_act": "sliu"})
        self.refuse(2, "rope.rope_type", model={"rope": {"rope_type": "longrope"}})
        self.refuse(2, "train.warmup_steps", "12 steps", train={"warmup_steps": 12})
        self.refuse(2, "train.batch_size", "sequences", train={"batch_size": 100000})
        self.refuse(2, "train.compute", train={"compute": "float16"})
        self.refuse(3, "nothing.txt", data={"path": str(self.folder / "nothing.txt")})
        self.refuse(3, "vocabulary", model={"vocab_size": 100})
        for name, content, part in (
            ("empty.txt", b"", "empty"),
            ("latin.txt", "caf\xe9".encode("latin-1"), "UTF-8"),
            ("short.txt", b"One story.", "story"),
            ("cut.txt.gz", b"\x1f\x8b\x08\0\0\0\0", "cut.txt.gz"),
        ):
            self.refuse(3, part, data={"path": str(self.write(name, content))})
        # Two stories, both of the training part: fewer tokens than one sequence.
        few = self.write("few.txt", "One dog ran home.\n<|endoftext|>\nThe cat sat.")
        self.refuse(
            3,
            "at least one sequence",
            data={"context": 600, "path": str(few), "split": "train"},
            model={"max_position_embeddings": 600},
        )

    def test_the_shipped_configs_are_valid(self):
        for name in ("tinystories-tiny.json", "tinystories-30m.json"):
            smaller = {
                "data.path": self.text,
                "data.tokenizer": self.tokenizer,
                "data.context": 32,
                "train.batch_size": 2,
                "train.warmup_steps": 0,
            }
            flags = [part for key, value in smaller.items() for part in ("--set", f"{key}={value}")]
            self.check(run("train", ROOT / "configs" / name, *flags, "--out", self.folder / "run", "--dry-run"), 0)

    def test_a_run_that_diverges_says_so(self):
        config = self.config(train={"learning_rate": 1e30, "steps": 40, "clip_norm": 0.0})
        self.check(self.train(config), 4, "10 steps in a row", "learning_rate")
        self.assertFalse((self.folder / "run/model").exists())

    def test_the_estimate_is_near_what_is_used(self):
        # Memory of this size is mostly the program itself; the sizes that matter are measured by scripts/bench.sh.
        config = self.config()
        estimate = self.document(self.check(self.train(config, "--dry-run", "--json"), 0))["estimate"]
        result = self.document(self.check(self.train(config, "--json"), 0))["results"][0]
        self.assertLess(abs(estimate["memory_bytes"] / result["peak_memory_bytes"] - 1), 0.2)
        if DEVICE != "cpu":  # here a hundred times smaller than the program
            self.assertGreater(result["peak_device_memory_bytes"], 0)
        self.assertGreater(estimate["seconds"], 0)
        used = sum(p.stat().st_size for p in (self.folder / "run").rglob("*") if p.is_file())
        self.assertGreater(estimate["disk_bytes"], used - 100_000)  # small files are not counted
