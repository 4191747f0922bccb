"""A model is opened once a command: its config.json, its run's, its tokenizer and each of its weight files, by the
system's own count."""

import collections
import json
import os
import re
import shutil
import subprocess
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import BILENS, ROOT, TIMEOUT, TestCase, environment, run
from classifiers import write_model
from language_models import write_llama

STRACE_MUST_BE_THERE = os.environ.get("BILENS_REQUIRE_STRACE") == "1"


class OpenedOnce(TestCase):
    def openings(self, *arguments):
        """How often a command opens each file below self.folder, by its path there."""
        if not shutil.which("strace") and not STRACE_MUST_BE_THERE:
            self.skipTest("no strace")
        trace = self.folder / "trace"
        result = subprocess.run(
            ["strace", "-f", "-e", "trace=open,openat", "-o", trace, BILENS, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            cwd=ROOT,
            env=environment({"ASAN_OPTIONS": "detect_leaks=0"}),  # leaks are not looked for under a tracer
        )
        self.check(result, 0)
        opened = re.findall(rf'"{re.escape(str(self.folder))}/([^"]+)"[^=]*\) = \d', trace.read_text())
        return collections.Counter(opened)

    def check_once(self, names, *arguments):
        counts = self.openings(*arguments)
        self.assertEqual({name: counts[name] for name in names}, dict.fromkeys(names, 1), arguments)

    def test_a_classifier(self):
        model = self.folder / "model"
        write_model(model)
        names = ("model/model.safetensors", "model/config.json")
        self.check_once(names, "decompose", model, "--out", self.folder / "out")
        self.check_once(names, "decompose", model, "--dry-run")
        self.check_once(names, "attack", model, "--data", "mnist-5k", "--set", "images=2")

    def test_two_models(self):
        one, two = self.folder / "one", self.folder / "two"
        write_model(one)
        shutil.copytree(one, two)
        weights = load_file(one / "model.safetensors")
        gate = "layers.0.mlp.gate_proj.weight"
        save_file({**weights, gate: weights[gate] * np.float32(2)}, two / "model.safetensors")
        names = [f"{model}/{file}" for model in ("one", "two") for file in ("model.safetensors", "config.json")]
        self.check_once(names, "compare", one, two)
        self.check_once(names, "decompose", two, "--minus", one, "--out", self.folder / "out")

    def test_a_language_model(self):
        model, tokens = self.folder / "model", self.folder / "tokens.bin"
        write_llama(model, layers=2)
        (model / "generation_config.json").write_text(json.dumps({"eos_token_id": 2}))
        np.random.default_rng(0).integers(1, 300, 400).astype("<u2").tofile(tokens)
        names = ("model/model.safetensors", "model/config.json")
        data = json.dumps({"dataset": "tokens", "path": str(tokens), "context": 32, "packing": "plain"})
        out = self.folder / "out"
        analyses = ("--set", 'analyses=["tokens", "corpus"]', "--set", "corpus.tokens=128")
        self.check_once(names, "decompose", model, "--out", out, "--set", "k=all", "--set", f"data={data}", *analyses)
        self.check_once(names, "evaluate", model, "--data", f"tokens:{tokens}", "--context", 32)
        self.check_once((*names, "model/generation_config.json"), "convert", model, self.folder / "converted")
        settings = {"direction": 0, "layer": 0, "eigenvectors": [0], "tokens": 128, "data": json.loads(data)}
        sets = [f for k, v in settings.items() for f in ("--set", f"{k}={json.dumps(v)}")]
        self.check_once(names, "intervene", out, *sets)

    def test_a_tokenizer(self):
        """Once for tokens by name, for the text that is read and for the cards of what it says."""
        model = self.folder / "model"
        write_llama(model, layers=2)
        text = self.write("text.txt", "Once upon a time there was a dog.\n<|endoftext|>\n" * 40)
        tokenizer = ("tokenizer", "train", "--data", f"text:{text}", "--vocabulary", 290)
        self.check(run(*tokenizer, "--out", self.folder / "tokenizer"), 0)
        shutil.copy(self.folder / "tokenizer/tokenizer.model", model)
        names = ("model/model.safetensors", "model/config.json", "model/tokenizer.model")
        given = ("--set", "corpus.tokens=64", "--data", f"text:{text}")
        asked = ("--set", 'analyses=["tokens", "corpus"]', "--set", "directions.kind=tokens")
        plus = ("--set", 'directions.plus=["d"]')
        self.check_once(names, "decompose", model, "--out", self.folder / "out", *given, *asked, *plus)
        self.check_once(names, "convert", model, self.folder / "converted")
        self.check_once(names, "explain", model, "--prompt", "Once upon", "--logit", "d")
        self.check_once(names, "generate", model, "--prompt", "Once upon", "--max-tokens", 3)

    def test_a_run(self):
        """Its own config.json says what it was trained on."""
        folder = self.folder / "run"
        write_model(folder / "model")
        self.write("run/env.json", "{}")
        self.write("run/config.json", json.dumps({"data": {"dataset": "mnist-5k"}, "train": {"seed": 3}}))
        names = ("run/config.json", "run/model/config.json", "run/model/model.safetensors")
        self.check_once(names, "decompose", folder, "--out", self.folder / "out")
        self.check_once(names, "evaluate", folder)
        self.check_once(names, "explain", folder, "--input", "test:7")

    def test_shards(self):
        """Each shard once, also where one of them is named."""
        model = self.folder / "model"
        write_llama(model, layers=2)
        names = self.shard(model)
        self.check_once((*names, "model/config.json"), "decompose", model, "--out", self.folder / "out")
        self.check_once(names, "decompose", self.folder / names[0], "--out", self.folder / "named")

    def shard(self, model):
        tensors = load_file(model / "model.safetensors")
        (model / "model.safetensors").unlink()
        shards, index = {}, {}
        for name, tensor in tensors.items():
            shard = f"model-{1 + ('layers.1' in name)}-of-2.safetensors"
            shards.setdefault(shard, {})[name], index[name] = tensor, shard
        for shard, content in shards.items():
            save_file(content, model / shard)
        (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
        return tuple(f"model/{shard}" for shard in sorted(shards))


if __name__ == "__main__":
    unittest.main()
