"""A checkpoint far larger than one of its layers is inspected and decomposed without ever being held whole."""

import json
import os
import pathlib
import resource
import struct
import subprocess
import tempfile
import unittest

import numpy as np

from bilens_cli import BILENS, TestCase

HIDDEN, UNITS, LAYERS, LAYER = 1024, 4096, 40, 5
LAYER_BYTES = 2 * 3 * HIDDEN * UNITS


def bfloat16(shape, seed):
    values = np.random.default_rng(seed).standard_normal(shape, np.float32) / shape[-1] ** 0.5
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


@unittest.skipIf("BILENS_SANITIZED" in os.environ, "the address sanitizer keeps freed memory")
class LargeCheckpoint(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        holder = tempfile.TemporaryDirectory(prefix="bilens-large-")
        cls.addClassCleanup(holder.cleanup)
        cls.model = pathlib.Path(holder.name)
        sizes = {"hidden_size": HIDDEN, "intermediate_size": UNITS, "num_hidden_layers": LAYERS, "vocab_size": 64}
        config = {"model_type": "qwen3", "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 128, **sizes}
        (cls.model / "config.json").write_text(json.dumps({**config, "hidden_act": "linear"}))
        shapes = {"model.embed_tokens.weight": (64, HIDDEN), "lm_head.weight": (64, HIDDEN)}
        for layer in range(LAYERS):
            at = f"model.layers.{layer}."
            shapes |= {at + f"self_attn.{name}_proj.weight": (HIDDEN, HIDDEN) for name in "qkvo"}
            shapes |= {at + f"self_attn.{name}_norm.weight": (128,) for name in "qk"}
            shapes |= {at + f"mlp.{name}_proj.weight": (UNITS, HIDDEN) for name in ("gate", "up")}
            shapes |= {at + "mlp.down_proj.weight": (HIDDEN, UNITS)}
            shapes |= {at + f"{name}_layernorm.weight": (HIDDEN,) for name in ("input", "post_attention")}
        shapes["model.norm.weight"] = (HIDDEN,)
        cls.write_sparse(shapes)

    @classmethod
    def write_sparse(cls, shapes):
        """Numbers in one layer and in the norms; all else is a hole, which takes no room on the disk."""
        header, end = {}, 0
        for name, shape in shapes.items():
            begin, end = end, end + 2 * int(np.prod(shape))
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
        text = json.dumps(header).encode()
        with open(cls.model / "model.safetensors", "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            start = file.tell()
            file.truncate(start + end)
            for seed, (name, shape) in enumerate(shapes.items()):
                if f"layers.{LAYER}." in name or "norm" in name:
                    file.seek(start + header[name]["data_offsets"][0])
                    file.write(bfloat16(shape, seed))
        cls.bytes = end

    def peak_of(self, *arguments):
        """Peak memory of a command, in bytes, mapped pages among them."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        done = subprocess.run([BILENS, *map(str, arguments)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self.assertGreaterEqual(peak, before)
        return peak * 1024

    def test_it_is_never_held_whole(self):
        budget = 64 << 20
        settings = ("layers=[5]", "k=2", "directions.kind=random", "directions.seed=1", "directions.count=2")
        flags = [flag for setting in (*settings, f"memory_limit={budget}") for flag in ("--set", setting)]
        idle = self.peak_of("--version")
        self.assertLess(self.peak_of("inspect", self.model) - idle, 64 << 20)
        peak = self.peak_of("decompose", self.model, "--out", self.folder / "out", *flags)
        # The layer as it is stored, in float64 with its norm folded in, and in float32.
        self.assertLess(peak - idle, 7 * LAYER_BYTES + budget + (128 << 20))
        self.assertGreater(self.bytes, 2 * peak)


if __name__ == "__main__":
    unittest.main()
