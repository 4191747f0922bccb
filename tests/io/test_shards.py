"""What is written as shards, by what json and safetensors say in Python: names, sizes, the index."""

import json
import os
import shutil
import subprocess
import unittest

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

from bilens_cli import ROOT, TestCase, run

WRITER = os.environ.get("SHARD_WRITER", "build/tests/shard_writer")
MODEL = ROOT / "tests/model/fixtures/llama/plain"


class Shards(TestCase):
    def test_index_and_shards_hold_each_tensor_once(self):
        limit = 4000
        out = self.folder / "sharded"
        out.mkdir()
        subprocess.run([WRITER, MODEL, out, str(limit)], check=True, cwd=ROOT)
        original = load_file(MODEL / "model.safetensors")
        index = json.loads((out / "model.safetensors.index.json").read_text())
        self.assertEqual(set(index["weight_map"]), set(original))
        self.assertEqual(index["metadata"]["total_size"], sum(tensor.nbytes for tensor in original.values()))
        self.assertEqual(index["metadata"]["total_parameters"], sum(tensor.size for tensor in original.values()))
        files = sorted(path.name for path in out.glob("*.safetensors"))
        self.assertGreater(len(files), 2)
        self.assertEqual(files, [f"model-{i + 1:05}-of-{len(files):05}.safetensors" for i in range(len(files))])
        self.assertEqual(set(index["weight_map"].values()), set(files))
        for name in files:
            with safe_open(out / name, "numpy") as shard:
                self.assertEqual(shard.metadata(), {"format": "pt"})  # transformers asks for it
                self.assertEqual(set(shard.keys()), {key for key, file in index["weight_map"].items() if file == name})
                tensors = {key: shard.get_tensor(key) for key in shard.keys()}
            self.assertTrue(sum(tensor.nbytes for tensor in tensors.values()) <= limit or len(tensors) == 1, name)
            for key, tensor in tensors.items():
                self.assertEqual(tensor.dtype, original[key].dtype)
                self.assertTrue(np.array_equal(tensor, original[key]), key)

    def test_the_program_reads_them_as_one_model(self):
        out = self.folder / "sharded"
        out.mkdir()
        subprocess.run([WRITER, MODEL, out, "4000"], check=True, cwd=ROOT)
        shutil.copy(MODEL / "config.json", out)
        self.check(run("convert", out, self.folder / "one"), 0)
        original, again = load_file(MODEL / "model.safetensors"), load_file(self.folder / "one/model.safetensors")
        self.assertEqual(set(again), set(original))
        for key in original:
            self.assertTrue(np.array_equal(again[key], original[key]), key)


if __name__ == "__main__":
    unittest.main()
