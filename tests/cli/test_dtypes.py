"""Each tensor keeps the precision that it is stored in; what would become infinite is refused by name."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file

from bilens_cli import TestCase, run
from language_models import forward, write_llama

EMBEDDING, HEAD, GATE = "model.embed_tokens.weight", "lm_head.weight", "model.layers.1.mlp.gate_proj.weight"


def to_bfloat16(array):
    """The upper 16 bits, rounded to even, and what they mean."""
    bits = array.astype("f4").view("u4")
    bits = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("u2")
    return bits, (bits.astype("u4") << 16).view("f4")


def save_mixed(path, tensors, dtypes):
    """A safetensors file of numpy arrays; names in `dtypes` as "BF16" bits."""
    header, data = {}, b""
    names = {"float32": "F32", "float64": "F64", "float16": "F16", "uint16": "BF16"}
    for name, array in tensors.items():
        stored = to_bfloat16(array)[0] if dtypes.get(name) == "BF16" else array.astype(dtypes.get(name, "f4"))
        header[name] = {
            "dtype": names[stored.dtype.name],
            "shape": stored.shape,
            "data_offsets": [len(data), len(data) + stored.nbytes],
        }
        data += stored.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def stored_dtypes(path):
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + size])
    return {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}


class MixedDtypes(TestCase):
    def setUp(self):
        super().setUp()
        self.w = write_llama(self.folder / "m", act="silu")
        self.tensors = load_file(self.folder / "m/model.safetensors")
        self.tokens = np.random.default_rng(3).integers(0, 300, 40)
        self.tokens.astype("<u2").tofile(self.folder / "tokens.bin")

    def configure(self, **changes):
        path = self.folder / "m/config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def store(self, dtypes, tensors=None):
        """What the file means, in float64."""
        tensors = tensors or self.tensors
        save_mixed(self.folder / "m/model.safetensors", tensors, dtypes)
        return {
            name: (
                to_bfloat16(array)[1] if dtypes.get(name) == "BF16" else array.astype(dtypes.get(name, "f4"))
            ).astype("f8")
            for name, array in tensors.items()
        }

    def loss(self, model, code=0):
        result = self.check(run("evaluate", model, "--data", f"tokens:{self.folder / 'tokens.bin'}", "--json"), code)
        return self.document(result)["results"][0]["loss"]

    def expected(self, w):
        logits = forward(w, self.tokens, act="silu")[0][:-1]
        shifted = logits - logits.max(-1, keepdims=True)
        return np.mean(np.log(np.exp(shifted).sum(-1)) - shifted[np.arange(39), self.tokens[1:]])

    def test_one_narrow_tensor_does_not_round_the_others(self):
        self.configure(torch_dtype="bfloat16")  # what the file holds counts
        for number, dtypes in enumerate(
            (
                {EMBEDDING: "BF16"},
                {GATE: "BF16"},
                {EMBEDDING: "f2", GATE: "BF16"},
                {name: "BF16" for name in self.tensors if name != HEAD},
            )
        ):
            with self.subTest(dtypes=len(dtypes)):
                w = self.store(dtypes)
                self.assertAlmostEqual(self.loss(self.folder / "m") / self.expected(w), 1, delta=2e-6)
                out = self.folder / f"out{number}"
                self.check(run("convert", self.folder / "m", out), 0)
                self.assertEqual(stored_dtypes(out / "model.safetensors"), {"F32"})
                self.assertEqual(json.loads((out / "config.json").read_text())["torch_dtype"], "float32")
                for name, array in load_file(out / "model.safetensors").items():
                    np.testing.assert_array_equal(array, w[name], name)

    def test_one_dtype_for_all_is_kept(self):
        for dtype, name in (("BF16", "bfloat16"), ("f2", "float16"), ("f8", "float64")):
            self.store(dict.fromkeys(self.tensors, dtype))
            out = self.folder / f"out-{name}"
            self.check(run("convert", self.folder / "m", out), 0)
            self.assertEqual(json.loads((out / "config.json").read_text())["torch_dtype"], name)
            before = run("inspect", self.folder / "m", "--json").stdout
            tensors = lambda text: {t["name"]: t["dtype"] for t in json.loads(text)["results"][0]["tensors"]}
            self.assertEqual(tensors(run("inspect", out, "--json").stdout), tensors(before))
            self.loss(out)

    def test_what_overflows_is_named(self):
        wide = {**self.tensors, GATE: self.tensors[GATE].astype("f8")}
        wide[GATE][3, 5] = 1e39  # above float32
        self.store({GATE: "f8"}, wide)
        result = run("evaluate", self.folder / "m", "--data", f"tokens:{self.folder / 'tokens.bin'}")
        self.check(result, 3, GATE, "numbers that float32 holds", "1e+39")
        self.check(run("convert", self.folder / "m", self.folder / "out"), 0)  # in float64 nothing is lost
        self.assertEqual(load_file(self.folder / "out/model.safetensors")[GATE][3, 5], 1e39)

    def test_a_tied_head_is_never_dropped(self):
        self.configure(tie_word_embeddings=True)
        evaluate = lambda: run("evaluate", self.folder / "m", "--data", f"tokens:{self.folder / 'tokens.bin'}")
        self.check(evaluate(), 3, HEAD, "tie_word_embeddings", "other values")
        self.check(run("convert", self.folder / "m", self.folder / "out"), 3, HEAD)
        # A copy of the embedding is what the flag says, in whatever dtype.
        for dtype in ("f4", "f8"):
            self.store({HEAD: dtype}, {**self.tensors, HEAD: self.tensors[EMBEDDING]})
            self.check(evaluate(), 0)
        self.store({}, {**self.tensors, HEAD: self.tensors[HEAD][:100]})
        self.check(evaluate(), 3, HEAD)


class UnreadableTensors(TestCase):
    def test_what_nobody_needs_is_listed_and_passed_over(self):
        rng = np.random.default_rng(1)
        tensors = {
            f"mlp.{name}_proj.weight": rng.standard_normal(shape).astype("f4")
            for name, shape in (("gate", (6, 4)), ("up", (6, 4)), ("down", (4, 6)))
        }
        header, data = {}, b""
        for name, array in tensors.items():
            header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [len(data), len(data) + array.nbytes]}
            data += array.tobytes()
        for name, dtype, count, size in (
            ("scale", "F8_E8M0", 3, 3),
            ("codes", "F4", 6, 3),
            ("freqs_cis", "C64", 2, 16),
            ("new", "F31", 5, 7),
        ):
            header[name] = {"dtype": dtype, "shape": [count], "data_offsets": [len(data), len(data) + size]}
            data += bytes(size)
        text = json.dumps(header).encode()
        path = self.write("w.safetensors", len(text).to_bytes(8, "little") + text + data)
        result = self.document(self.check(run("inspect", path, "--json"), 0))["results"][0]
        self.assertEqual(
            {t["name"]: t["dtype"] for t in result["tensors"] if t["dtype"] != "float32"},
            {"scale": "F8_E8M0", "codes": "F4", "freqs_cis": "C64", "new": "F31"},
        )
        wanted = [
            "--gate",
            "none",
            "--set",
            'weights={"gate": "scale", "up": "mlp.up_proj.weight", "down": "identity"}',
        ]
        self.check(run("decompose", path, "--out", self.folder / "d", *wanted), 3, "scale", "found F8_E8M0")

    def test_pytorch_files(self):
        try:
            import torch
        except ImportError:
            self.skipTest("no torch in this Python")
        path = self.folder / "w.pt"
        torch.save(
            {
                "w": torch.ones(2, 3),
                "freqs_cis": torch.polar(torch.ones(3), torch.ones(3)),
                "s": torch.eye(3).to_sparse(),
                "csr": torch.eye(3).to_sparse_csr(),
                "e8": torch.ones(2).to(torch.float8_e8m0fnu),
                "negative": torch.polar(torch.ones(3), torch.ones(3)).conj().imag,
            },
            path,
        )
        result = self.document(self.check(run("inspect", path, "--json"), 0))["results"][0]
        found = {t["name"]: (t["dtype"], t["shape"]) for t in result["tensors"]}
        self.assertEqual(found["w"], ("float32", [2, 3]))
        self.assertEqual(found["freqs_cis"], ("torch.ComplexFloatStorage", [3]))
        self.assertEqual(found["s"], ("torch._utils._rebuild_sparse_tensor", [3, 3]))
        self.assertEqual(found["e8"], ("torch.float8_e8m0fnu", [2]))
        self.assertNotEqual(found["negative"][0], "float32")  # stored without its sign
        self.assertEqual(found["csr"], ("torch._utils._rebuild_sparse_tensor", [3, 3]))


if __name__ == "__main__":
    unittest.main()
