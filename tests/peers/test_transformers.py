"""What bilens writes, read by transformers: losses are the same. Needs what scripts/setup.sh --bench installs; skipped
without, an error with BILENS_REQUIRE_PEERS=1."""
# labels: slow

import json
import os
import subprocess
import sys

import numpy
from safetensors.numpy import load_file

from bilens_cli import DEVICE, ROOT, run, test_data
from peer_packages import require_transformers
from texts import TextCase

SAME = 1e-5  # of losses of 1 to 6 nats, float32 on both sides, sums in float64


class Transformers(TextCase):
    story_count = 300

    @classmethod
    def setUpClass(cls):
        require_transformers()
        super().setUpClass()
        cls.trained = {act: cls.train(act) for act in ("linear", "silu")}

    @classmethod
    def train(cls, act):
        out = cls.case.folder / act
        config = cls.case.write(
            f"{act}.json",
            json.dumps(
                {
                    "model": {
                        "type": "llama",
                        "hidden_size": 16,
                        "intermediate_size": 24,
                        "num_hidden_layers": 2,
                        "num_attention_heads": 4,
                        "num_key_value_heads": 2,
                        "hidden_act": act,
                        "max_position_embeddings": 64,
                        "initializer_range": 0.2,
                    },
                    "data": {"dataset": "text", "path": str(cls.text), "tokenizer": str(cls.tokenizer), "context": 32},
                    "train": {"steps": 100, "batch_size": 16, "learning_rate": 1e-2},
                    "device": DEVICE,
                }
            ),
        )
        cls.case.check(run("train", config, "--out", out), 0)
        return out / "model"

    def assert_same_loss(self, model, text, context=32):
        ours = self.document(
            self.check(run("evaluate", model, "--data", f"text:{text}", "--context", context, "--json"), 0)
        )["results"][0]
        command = [sys.executable, ROOT / "scripts/peers/peer_evaluate.py", model, text, context]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("newly initialized", done.stderr)  # a tensor that transformers missed
        theirs = json.loads(done.stdout)
        self.assertEqual(ours["tokens"], theirs["tokens"])
        self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=SAME)
        return ours["loss"]

    def test_models_trained_here(self):
        for act, model in self.trained.items():
            with self.subTest(act):
                self.assertLess(self.assert_same_loss(model, self.text), numpy.log(320) - 2)  # and it has learnt

    def test_a_model_made_bilinear(self):
        config = self.write(
            "finetune.json",
            json.dumps(
                {
                    "teacher": str(self.trained["silu"]),
                    "data": {"dataset": "text", "path": str(self.text), "context": 32},
                    "stages": [{"kind": "calibrate", "tokens": 4000}, {"kind": "settle"}],
                    "train": {"steps": 10, "batch_size": 8, "learning_rate": 1e-3, "loss": {"divergence": 1.0}},
                }
            ),
        )
        self.check(run("finetune", config, "--out", self.folder / "run"), 0)
        model = self.folder / "run/model"
        written = json.loads((model / "config.json").read_text())
        self.assertEqual((written["hidden_act"], written["mlp_bias"]), ("linear", True))
        self.assertGreater(abs(load_file(model / "model.safetensors")["model.layers.0.mlp.gate_proj.bias"]).max(), 0.01)
        self.assert_same_loss(model, self.text)

    def test_shards(self):
        whole = self.trained["linear"]
        sharded = self.folder / "sharded"
        sharded.mkdir()
        subprocess.run([os.environ["SHARD_WRITER"], whole, sharded, "20000"], check=True)
        self.assertGreater(len(list(sharded.glob("model-*-of-*.safetensors"))), 2)
        for file in whole.iterdir():
            if file.name != "model.safetensors":
                (sharded / file.name).write_bytes(file.read_bytes())
        self.assertEqual(self.assert_same_loss(sharded, self.text), self.assert_same_loss(whole, self.text))

    def test_the_published_model_converted(self):
        data = test_data("stories260K", "tinystories")
        model = self.folder / "stories"
        self.check(
            run(
                "convert", data / "stories260K/stories260K.bin", model, "--tokenizer", data / "stories260K/tok512.model"
            ),
            0,
        )
        some = self.write(
            "some.txt",
            "\n<|endoftext|>\n".join(
                [
                    "Once upon a time, there was a little girl named Lily.",
                    "Tom had a big red ball. He liked to play with it in the park.",
                ]
                * 20
            ),
        )
        self.assert_same_loss(model, some, 512)
