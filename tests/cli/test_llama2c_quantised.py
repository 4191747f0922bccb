"""llama2.c's quantised files, version 2: every number is its code times the scale of its group, in float32. They are
written here as its export.py does, and read by NumPy."""

import json
import struct
import subprocess
import sys
import unittest

import numpy as np
from safetensors.numpy import load_file

from bilens_cli import ROOT, TestCase, run

SIZES = {"dim": 16, "hidden_dim": 24, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 20, "seq_len": 32}


def tensors(sizes=SIZES, shared=False, seed=0):
    """In the order of the file: norms, then matrices."""
    rng = np.random.default_rng(seed)
    d, h, n, kv = sizes["dim"], sizes["hidden_dim"], sizes["n_layers"], sizes["n_kv_heads"] * 4
    each = lambda name, *shape: {f"{name}.{i}": rng.standard_normal(shape).astype("f4") / 4 for i in range(n)}
    norms = {**each("attention_norm", d), **each("ffn_norm", d), "norm": rng.standard_normal(d).astype("f4")}
    matrices = {"tok_embeddings": rng.standard_normal((sizes["vocab_size"], d)).astype("f4")}
    for name, rows, columns in (("wq", d, d), ("wk", kv, d), ("wv", kv, d), ("wo", d, d), ("w1", h, d), ("w2", d, h)):
        matrices.update(each(name, rows, columns))
    matrices.update(each("w3", h, d))
    if not shared:
        matrices["output"] = rng.standard_normal((sizes["vocab_size"], d)).astype("f4")
    return norms, matrices


def quantised(matrix, group):
    """int8 codes [groups, group] and float32 scales [groups], as quantize_q80."""
    rows = matrix.reshape(-1, group)
    scales = np.abs(rows).max(1) / np.float32(127)
    return np.round(rows / scales[:, None]).astype("i1"), scales.astype("f4")


def export(norms, matrices, sizes=SIZES, group=8, shared=False, version=2, scales_last=False):
    """version2_export."""
    header = struct.pack("<Ii7iBi", 0x616B3432, version, *sizes.values(), shared, group)
    parts, last = [header.ljust(256, b"\0")], []
    parts += [norm.astype("<f4").tobytes() for norm in norms.values()]
    for matrix in matrices.values():
        codes, scales = quantised(matrix, group)
        parts.append(codes.tobytes())
        (last if scales_last else parts).append(scales.astype("<f4").tobytes())
    return b"".join(parts + last)


def halves(rows, heads):
    """Of a head, llama2.c turns neighbours, Hugging Face two halves."""
    return rows.reshape(heads, -1, 2, rows.shape[1]).transpose(0, 2, 1, 3).reshape(rows.shape)


class Quantised(TestCase):
    def convert(self, content, code=0, *words):
        path = self.write("model.bin", content)
        self.number = getattr(self, "number", 0) + 1
        self.check(run("convert", path, self.folder / f"out{self.number}"), code, *words)
        return self.folder / f"out{self.number}"

    def test_numbers_are_codes_times_scales(self):
        for group, shared in ((8, False), (16, True), (1, False)):
            with self.subTest(group=group):
                norms, matrices = tensors(shared=shared)
                out = self.convert(export(norms, matrices, group=group, shared=shared))
                stored = load_file(out / "model.safetensors")
                read = {}
                for name, matrix in matrices.items():
                    codes, scales = quantised(matrix, group)
                    read[name] = (codes.astype("f4") * scales[:, None]).reshape(matrix.shape)
                    self.assertEqual(read[name].dtype, np.float32)
                for i in range(2):
                    at = f"model.layers.{i}."
                    for ours, theirs in (
                        ("self_attn.q_proj", halves(read[f"wq.{i}"], 4)),
                        ("self_attn.k_proj", halves(read[f"wk.{i}"], 2)),
                        ("self_attn.v_proj", read[f"wv.{i}"]),
                        ("self_attn.o_proj", read[f"wo.{i}"]),
                        ("mlp.gate_proj", read[f"w1.{i}"]),
                        ("mlp.down_proj", read[f"w2.{i}"]),
                        ("mlp.up_proj", read[f"w3.{i}"]),
                        ("input_layernorm", norms[f"attention_norm.{i}"]),
                        ("post_attention_layernorm", norms[f"ffn_norm.{i}"]),
                    ):
                        np.testing.assert_array_equal(stored[f"{at}{ours}.weight"], theirs, ours)
                np.testing.assert_array_equal(stored["model.norm.weight"], norms["norm"])
                np.testing.assert_array_equal(stored["model.embed_tokens.weight"], read["tok_embeddings"])
                self.assertEqual("lm_head.weight" in stored, not shared)
                if not shared:
                    np.testing.assert_array_equal(stored["lm_head.weight"], read["output"])
                self.assertEqual(json.loads((out / "config.json").read_text())["torch_dtype"], "float32")

    def test_commands_take_it_as_it_is(self):
        path = self.write("model.bin", export(*tensors()))
        out = self.convert(export(*tensors()))
        np.array([1, *range(3, 20)], "<u2").tofile(self.folder / "tokens.bin")
        losses = [
            self.document(
                self.check(run("evaluate", model, "--data", f"tokens:{self.folder / 'tokens.bin'}", "--json"), 0)
            )["results"][0]["loss"]
            for model in (path, out)
        ]
        self.assertEqual(*losses)
        self.check(run("decompose", path, "--set", "surrogate=half", "--out", self.folder / "d"), 0)

    def test_a_scale_of_0_is_a_group_of_zeros(self):
        norms, matrices = tensors()
        content = bytearray(export(norms, matrices))
        scales = 256 + sum(norm.nbytes for norm in norms.values()) + matrices["tok_embeddings"].size
        content[scales : scales + 4] = bytes(4)
        stored = load_file(self.convert(bytes(content)) / "model.safetensors")["model.embed_tokens.weight"]
        self.assertEqual(np.count_nonzero(stored.ravel()[:8]), 0)
        self.assertGreater(np.count_nonzero(stored.ravel()[8:]), 0)

    def test_what_is_not_so_is_refused(self):
        norms, matrices = tensors()
        good = export(norms, matrices)
        self.convert(good[:-1], 3, f"{len(good)} bytes")
        self.convert(good + b"x", 3, f"{len(good)} bytes")
        self.convert(export(norms, matrices, version=3), 3, "version", "1 or 2", "found 3")
        for group in (0, -8):
            self.convert(good[:37] + struct.pack("<i", group) + good[41:], 3, "group_size", str(group))
        self.convert(good[:37] + struct.pack("<i", 7) + good[41:], 3, "group_size", "divisor", "320 numbers")
        # An earlier export.py wrote all scales behind all codes, in a file of the same size and version.
        self.convert(export(norms, matrices, scales_last=True), 3, "scales", "export it again")
        # Of another tensor than the first, a scale that is none.
        content = bytearray(good)
        content[-4:] = struct.pack("<f", np.nan)
        self.convert(bytes(content), 3, "lm_head.weight", "scales", "nan")

    def test_the_fuzzers_seeds_are_files_that_are_read(self):
        made = [sys.executable, ROOT / "scripts/make_fuzz_seeds.py", self.folder / "seeds"]
        subprocess.run(made, check=True)
        seeds = sorted((self.folder / "seeds/llama2c").iterdir())
        self.assertEqual([seed.name[:2] for seed in seeds], ["v0", "v0", "v1", "v1", "v2", "v2"])
        for seed in seeds:
            self.check(run("inspect", seed.rename(seed.with_suffix(".bin"))), 0)


if __name__ == "__main__":
    unittest.main()
