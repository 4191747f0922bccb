"""`bilens train` from config to model directory on mnist-5k, and the command line around it."""

import gzip
import json
import os
import re
import subprocess
import unittest

import numpy
import safetensors.numpy

from bilens_cli import BILENS, DEVICE, ROOT, TestCase, environment, read_metrics, run

EPOCHS, BATCH = 2, 200


def read_test_images():
    def read(name, skip):
        return numpy.frombuffer(gzip.open(ROOT / "data/mnist-5k" / name).read(), dtype=numpy.uint8, offset=skip)

    return read("t10k-images-idx3-ubyte.gz", 16).reshape(1000, 784), read("t10k-labels-idx1-ubyte.gz", 8)


class TrainOnMnist5k(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.share_a_folder()
        cls.config = {
            "model": {"d_model": 32, "d_hidden": 32},
            "data": {"validation_fraction": 0.1, "pixel_mean": 0.13, "pixel_std": 0.31},
            "train": {"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": 3e-3, "weight_decay": 0.1},
            "device": DEVICE,
            "threads": 1,
        }
        cls.out = cls.case.folder / "run"
        path = cls.case.write("config.json", json.dumps(cls.config))
        cls.result = cls.case.check(run("train", path, "--out", cls.out, "--json"), 0)

    def test_the_files_of_the_run_directory(self):
        files = {
            re.sub(r"tfevents.*", "tfevents", str(p.relative_to(self.out))) for p in self.out.rglob("*") if p.is_file()
        }
        steps = 3600 // BATCH
        checkpoint = {"config.json", "model.safetensors", "optimizer.safetensors", "trainer.json", "DONE"}
        self.assertEqual(
            files,
            {
                "config.json",
                "env.json",
                "metrics.jsonl",
                "events.out.tfevents",
                "model/config.json",
                "model/model.safetensors",
            }
            | {f"checkpoints/step-{n}/{f}" for n in (steps, 2 * steps) for f in checkpoint},
        )
        environment_json = json.loads((self.out / "env.json").read_text())
        self.assertEqual(environment_json["format_version"], 1)
        for key in ("version", "build", "compiler", "device", "threads", "libtorch"):
            self.assertTrue(environment_json[key], key)
        model = json.loads((self.out / "model/config.json").read_text())
        self.assertEqual(
            (model["model_type"], model["d_input"], model["d_output"], model["image_shape"]),
            ("bilinear_mlp", 784, 10, [28, 28]),
        )
        self.assertEqual((model["pixel_mean"], model["pixel_std"]), (0.13, 0.31))

    def test_the_metrics(self):
        records = read_metrics(self.out)
        steps = [r for r in records if "split" not in r]
        self.assertEqual([r["step"] for r in steps], list(range(1, EPOCHS * 18 + 1)))
        for record in steps:
            self.assertEqual(
                set(record), {"step", "epoch", "loss", "accuracy", "grad_norm", "lr", "images_per_second", "mfu"}
            )
        self.assertLess(steps[-1]["loss"], steps[0]["loss"])
        self.assertEqual(steps[-1]["epoch"], EPOCHS)
        # The cosine by hand: 36 steps, no warm-up.
        for record in steps:
            expected = 3e-3 * 0.5 * (1 + numpy.cos(numpy.pi * (record["step"] - 1) / 36))
            self.assertAlmostEqual(record["lr"], expected, delta=1e-15)
        evaluations = [r for r in records if "split" in r]
        self.assertEqual(
            [(r["split"], r["step"], r["examples"]) for r in evaluations],
            [("validation", 18, 400), ("validation", 36, 400), ("test", 36, 1000)],
        )
        for record in evaluations:
            self.assertEqual(set(record), {"step", "epoch", "split", "examples", "loss", "accuracy"})

    def test_the_outcome(self):
        document = self.document(self.result)
        self.assertEqual((document["command"], document["failures"]), ("train", []))
        result = document["results"][0]
        self.assertEqual(result["model"], str(self.out / "model"))
        self.assertEqual((result["steps"], result["skipped_steps"], result["examples"]), (36, 0, 1000))
        self.assertGreater(result["accuracy"], 0.8)

    def test_the_written_config_repeats_the_run(self):
        again = self.folder / "again"
        self.check(run("train", self.out / "config.json", "--out", again), 0)
        for name in ("config.json", "model/model.safetensors", "model/config.json"):
            self.assertEqual((again / name).read_bytes(), (self.out / name).read_bytes(), name)
        # The same from flags alone; and another seed is another model.
        other = self.folder / "other"
        self.check(run("train", self.out / "config.json", "--out", other, "--seed", "7", "--set", "train.epochs=1"), 0)
        self.assertEqual(json.loads((other / "config.json").read_text())["train"]["seed"], 7)
        self.assertNotEqual(
            (other / "model/model.safetensors").read_bytes(), (again / "model/model.safetensors").read_bytes()
        )

    def test_evaluate_equals_the_recorded_result(self):
        recorded = read_metrics(self.out)[-1]
        # By the model, by the run, and by a checkpoint of it; and the data may be named.
        newest = self.out / "checkpoints/step-36"
        for arguments in ((self.out / "model",), (self.out,), (newest,)):
            result = self.document(self.check(run("evaluate", *arguments, "--threads", "1", "--json"), 0))["results"][0]
            for key in ("loss", "accuracy", "examples"):
                self.assertEqual(result[key], recorded[key])

    def test_numpy_computes_the_same(self):
        weights = {
            k: v.astype(numpy.float64)
            for k, v in safetensors.numpy.load_file(self.out / "model/model.safetensors").items()
        }
        images, labels = read_test_images()
        h = ((images / 255 - 0.13) / 0.31) @ weights["embed.weight"].T
        h = (h @ weights["layers.0.mlp.gate_proj.weight"].T) * (h @ weights["layers.0.mlp.up_proj.weight"].T)
        logits = h @ weights["head.weight"].T
        accuracy = (logits.argmax(1) == labels).mean()
        shifted = logits - logits.max(1, keepdims=True)
        loss = (numpy.log(numpy.exp(shifted).sum(1)) - shifted[numpy.arange(1000), labels]).mean()
        recorded = read_metrics(self.out)[-1]
        self.assertEqual(accuracy, recorded["accuracy"])
        # float32 sums of 784 products: about sqrt(784) eps of logits of order 10, averaged over 1000 images.
        self.assertAlmostEqual(loss, recorded["loss"], delta=28 * 1.2e-7 * 10)

    def test_the_output_has_no_escape_codes(self):
        for env in ({}, {"NO_COLOR": "1"}, {"TERM": "xterm-256color"}):
            result = run(
                "train",
                self.out / "config.json",
                "--out",
                self.folder / f"out{len(env)}{env.get('TERM', '')}",
                "--set",
                "train.epochs=1",
                "--verbose",
                env=env,
            )
            self.check(result, 0)
            self.assertTrue(result.stderr)
            self.assertNotIn("\x1b", result.stdout + result.stderr)
            self.assertNotIn("\r", result.stdout + result.stderr)

    def test_quiet_says_nothing(self):
        result = run(
            "train", self.out / "config.json", "--out", self.folder / "out", "--set", "train.epochs=1", "--quiet"
        )
        self.assertEqual(self.check(result, 0).stderr, "")
        self.assertIn("accuracy", result.stdout)


class DryRun(TestCase):
    def peak_of(self, *flags):
        """(exit code, stdout, VmHWM in bytes) of one run, from the kernel's own account of that child."""
        with open(self.folder / "stdout", "w+") as stdout:
            process = subprocess.Popen(
                [BILENS, *map(str, flags)], stdout=stdout, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment(None)
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            stdout.seek(0)
            return process.returncode, stdout.read(), usage.ru_maxrss * 1024

    @unittest.skipIf("BILENS_SANITIZED" in os.environ, "the address sanitizer keeps freed memory")
    def test_the_estimate_is_within_a_fifth_of_what_is_used(self):
        """Small, wide and with large batches: each where another part of the memory dominates."""
        for name, model, train in (
            ("small", {"d_model": 32, "d_hidden": 32}, {"batch_size": 64}),
            ("wide", {"d_model": 3000, "d_hidden": 3000}, {"batch_size": 64}),
            (
                "batch",
                {"d_model": 1024, "d_hidden": 1024, "n_layers": 4},
                {"batch_size": 4000, "input_noise": {"std": 0.1}},
            ),
        ):
            with self.subTest(name):
                config = self.write(
                    f"{name}.json",
                    json.dumps({"model": model, "train": {**train, "steps": 2}, "device": DEVICE, "threads": 2}),
                )
                code, stdout, _ = self.peak_of("train", config, "--out", self.folder / name, "--dry-run", "--json")
                self.assertEqual(code, 0, stdout)
                self.assertFalse((self.folder / name).exists())
                estimate = json.loads(stdout)["estimate"]
                code, stdout, used = self.peak_of("train", config, "--out", self.folder / name, "--json")
                self.assertEqual(code, 0)
                self.assertLess(abs(estimate["memory_bytes"] - used) / used, 0.2, f"{estimate['memory_bytes']} {used}")
                if DEVICE != "cpu":
                    used, planned = (
                        json.loads(stdout)["results"][0]["peak_device_memory_bytes"],
                        estimate["device_memory_bytes"],
                    )
                    self.assertLess(abs(planned - used) / used, 0.2, f"{planned} {used}")
                disk = sum(p.stat().st_size for p in (self.folder / name).rglob("*") if p.is_file())
                self.assertGreaterEqual(estimate["disk_bytes"], disk - 20000)  # small files are not counted
                self.assertGreater(estimate["seconds"], 0)


class CommandLine(TestCase):
    def schema(self):
        return json.loads(self.check(run("schema", "train"), 0).stdout)

    def image_schema(self):
        return self.schema()["anyOf"][0]

    def defaults(self, schema):
        return {
            key: self.defaults(value) if "properties" in value else value["default"]
            for key, value in schema["properties"].items()
        }

    def check_schema(self, schema, path="train"):
        """A valid JSON Schema, as far as we use it: known keywords, defaults inside types, enums and ranges."""
        known = {
            "$schema",
            "title",
            "type",
            "description",
            "properties",
            "additionalProperties",
            "default",
            "enum",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "unit",
            "anyOf",
            "items",
            "minItems",
            "required",
        }
        self.assertLessEqual(set(schema), known, path)
        types = {
            "integer": int,
            "number": (int, float),
            "string": str,
            "boolean": bool,
            "object": dict,
            "array": list,
            "null": type(None),
        }
        if "default" in schema:
            default = schema["default"]
            if "type" in schema:
                names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
                self.assertTrue(any(isinstance(default, types[name]) for name in names), path)
            self.assertIn(default, schema.get("enum", [default]), path)
            if default is None:
                return
            self.assertGreaterEqual(default, schema.get("minimum", default), path)
            self.assertLessEqual(default, schema.get("maximum", default), path)
        else:
            self.assertIn("properties", schema, path)
        for key, value in schema.get("properties", {}).items():
            self.assertTrue(value["description"], f"{path}.{key}")
            self.check_schema(value, f"{path}.{key}")

    def test_the_schema_is_valid(self):
        schema = self.schema()
        self.assertEqual(schema["$schema"], "https://json-schema.org/draft/2020-12/schema")
        images, texts = (kind["properties"]["model"]["properties"]["type"]["enum"] for kind in schema["anyOf"])
        self.assertEqual(images, ["bilinear_mlp"])
        self.assertEqual(texts[0], "llama")
        self.assertIn("gemma3_text", texts)
        for kind in schema["anyOf"]:
            self.assertFalse(kind["additionalProperties"])
            self.check_schema(kind)
        self.check(run("schema", "trian"), 2, "trian")
        document = self.document(self.check(run("schema", "train", "--json"), 0))
        self.assertEqual(document["results"], [schema])

    def test_its_defaults_are_those_of_a_run(self):
        data = self.small_data(images=16)
        self.check(
            run(
                "train",
                "--out",
                self.folder / "out",
                "--set",
                "data.dataset=mnist",
                "--set",
                f"data.path={data}",
                "--set",
                "train.batch_size=16",
                "--set",
                "train.epochs=1",
            ),
            0,
        )
        resolved = json.loads((self.folder / "out/config.json").read_text())
        defaults = self.defaults(self.image_schema())
        self.assertEqual(resolved["data"].pop("dataset"), "mnist")
        self.assertEqual(resolved["data"].pop("path"), str(data))
        self.assertEqual((resolved["train"].pop("batch_size"), resolved["train"].pop("epochs")), (16, 1))
        for key in ("dataset", "path"):
            defaults["data"].pop(key)
        for key in ("batch_size", "epochs"):
            defaults["train"].pop(key)
        self.assertEqual(resolved, defaults)

    def test_mnist_json_is_the_documented_config(self):
        shipped = json.loads((ROOT / "configs/mnist.json").read_text())
        defaults = self.defaults(self.image_schema())
        self.assertEqual(
            (shipped["train"]["epochs"], shipped["train"]["batch_size"], shipped["train"]["weight_decay"]),
            (20, 2048, 0.5),
        )
        for section, values in shipped.items():
            if section != "data":
                expected = {k: defaults[section][k] for k in values} if isinstance(values, dict) else defaults[section]
                self.assertEqual(values, expected, section)

    def test_help_and_version(self):
        listed = re.findall(r"^  bilens (\w+) ", run("--help").stdout, re.M)
        self.assertIn("train", listed)
        for command in listed:
            result = self.check(run(command, "--help"), 0)
            self.assertEqual(run("help", command).stdout, result.stdout)
            for flag in ("--device", "--dry-run", "--json"):
                self.assertIn(flag, result.stdout)
            has_config = command in ("train", "finetune", "decompose", "intervene", "attack")
            self.assertEqual("--set" in result.stdout, has_config, command)
            self.assertIn("Example:", result.stdout)
        self.check(run("--help"), 0)
        self.check(run("-h"), 0)
        for arguments in (("--version",), ("train", "--version")):
            self.assertRegex(self.check(run(*arguments), 0).stdout, r"^bilens \d+\.\d+\.\d+\n$")
        self.check(run(), 2)

    def test_an_unknown_command_suggests_one(self):
        self.check(run("trian"), 2, 'found "trian"', "Did you mean train?")
        self.check(run("xyzzyxyzzy"), 2, 'found "xyzzyxyzzy"', "bilens --help")
        self.assertEqual(self.document(run("trian", "--json"))["failures"][0]["code"], 2)
