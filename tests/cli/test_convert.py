"""The papers' own models (arXiv 2406.03947, 2410.08417) through `bilens convert`, against numpy on their tensors."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run
from classifiers import digits, logits, test_labels


def draws(seed):
    rng = np.random.default_rng(seed)
    return lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


def packed_classifier(n_layers=1, bias=False, d=24, pixels=784):
    """embed, blocks.N with left rows before right ones, head."""
    draw = draws(1)
    tensors = {"embed.weight": draw(d, pixels) * 3, "head.weight": draw(10, d)}
    for n in range(n_layers):
        tensors[f"blocks.{n}.weight"] = draw(2 * d, d) * 2
        if bias:
            tensors[f"blocks.{n}.bias"] = draw(1, 2 * d)[0]
    return tensors


def separate_classifier(n_layers=2, d=12, h=20):
    draw = draws(2)
    tensors = {"net.embed.weight": draw(d, 784) * 3, "net.head.weight": draw(10, d)}
    for n in range(n_layers):
        tensors |= {
            f"net.layers.{n}.W_l": draw(h, d) * 2,
            f"net.layers.{n}.W_r": draw(h, d),
            f"net.layers.{n}.W_p": draw(d, h),
        }
    return tensors


GATES = {None: lambda z: z, "relu": lambda z: np.maximum(z, 0), "silu": lambda z: z / (1 + np.exp(-z))}


def original_logits(tensors, x, residual=False, gate=None):
    """In float64, as the reference code computes it: chunk(2), product, next layer."""
    w = {name.removeprefix("net."): tensor.astype(np.float64) for name, tensor in tensors.items()}
    h = x @ w["embed.weight"].T
    for n in range(
        sum(name.startswith("blocks.") or name.endswith("W_l") for name in w) - sum("bias" in name for name in w)
    ):
        if f"blocks.{n}.weight" in w:
            left, right = np.split(h @ w[f"blocks.{n}.weight"].T + w.get(f"blocks.{n}.bias", 0), 2, axis=1)
            y = GATES[gate](left) * right
        else:
            y = (h @ w[f"layers.{n}.W_l"].T) * (h @ w[f"layers.{n}.W_r"].T) @ w[f"layers.{n}.W_p"].T
        h = h + y if residual else y
    return h @ w["head.weight"].T


class Classifiers(TestCase):
    def original(self, tensors, config=None, name="original"):
        folder = self.folder / name
        folder.mkdir()
        save_file(tensors, folder / "model.safetensors")
        if config is not None:
            (folder / "config.json").write_text(json.dumps(config))
        return folder

    def convert(self, source, code=0, *parts, out="converted", flags=()):
        self.out = self.folder / out
        return self.check(run("convert", source, self.out, *flags), code, *parts)

    def converted_logits(self, x):
        """By docs/formats.md, in float64."""
        config = json.loads((self.out / "config.json").read_text())
        self.assertEqual(config["model_type"], "bilinear_mlp")
        weights = load_file(self.out / "model.safetensors")
        return logits(config, {name: tensor.astype(np.float64) for name, tensor in weights.items()}, x)

    def check_logits(self, tensors, **kwargs):
        """Weights are moved, not computed with: equal to the order of float64 sums."""
        x = digits(20)
        expected = original_logits(tensors, x, **kwargs)
        self.assertLess(np.abs(self.converted_logits(x) - expected).max(), 1e-12 * np.abs(expected).max())

    def test_packed_blocks(self):
        for number, (layers, bias, residual) in enumerate(((1, False, False), (3, True, False), (2, True, True))):
            with self.subTest(layers=layers, bias=bias, residual=residual):
                tensors = packed_classifier(layers, bias)
                config = {
                    "n_layer": layers,
                    "d_hidden": 24,
                    "d_input": 784,
                    "d_output": 10,
                    "bias": bias,
                    "residual": residual,
                    "lr": 1e-3,
                    "input_noise": 0.4,
                    "device": "cuda",
                }
                self.convert(self.original(tensors, config, f"original{number}"), out=f"converted{number}")
                self.check_logits(tensors, residual=residual)

    def test_a_file_alone_and_separate_matrices(self):
        tensors = separate_classifier()
        self.convert(self.original(tensors) / "model.safetensors", flags=("--gate", "none"))
        self.check_logits(tensors)
        self.assertTrue(json.loads((self.out / "config.json").read_text())["down_proj"])

    def test_a_pytorch_state_dict(self):
        try:
            import torch
        except ImportError:
            self.skipTest("no torch in this Python")
        tensors = packed_classifier(2)
        torch.save({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, self.folder / "state.pt")
        self.convert(self.folder / "state.pt", flags=("--gate", "none"))
        self.check_logits(tensors)

    def test_the_program_agrees_with_the_original(self):
        """Through the program's own forward pass: the loss on the test digits, by numpy from the original."""
        tensors = packed_classifier(2, bias=True)
        self.convert(self.original(tensors, {"n_layer": 2, "d_hidden": 24, "residual": True, "gate": "silu"}))
        # A gated layer has no eigenvectors, and is not taken for a bilinear one.
        self.check(run("explain", self.out, "--input", "test:0", "--data", "mnist-5k"), 3, "silu")
        expected = original_logits(tensors, digits(1000), residual=True, gate="silu")
        labels = test_labels().astype(int)
        shifted = expected - expected.max(1, keepdims=True)
        loss = np.mean(np.log(np.exp(shifted).sum(1)) - shifted[np.arange(1000), labels])
        (result,) = self.document(self.check(run("evaluate", self.out, "--data", "mnist-5k", "--json"), 0))["results"]
        self.assertAlmostEqual(result["loss"] / loss, 1, delta=1e-5)  # float32, two layers of products

    def test_what_ours_cannot_express_is_named(self):
        tensors = packed_classifier()
        sizes = {"n_layer": 1, "d_hidden": 24}
        for number, (config, extra, words) in enumerate(
            (
                (sizes | {"gate": "tanh"}, {}, ("gate", "tanh")),
                (sizes | {"bilinear": False}, {}, ("bilinear", "one factor")),
                (sizes | {"rms_norm": True}, {}, ("rms_norm", "no norms")),
                (sizes | {"residual": "yes"}, {}, ("residual", "true or false")),
                (sizes | {"n_layer": 2}, {}, ("n_layer", "2")),
                (sizes | {"bias": True}, {}, ("bias",)),
                ([], {}, ("an object",)),
                (sizes, {"head.bias": np.zeros(10, np.float32)}, ("also head.bias",)),
                (sizes, {"blocks.2.weight": tensors["blocks.0.weight"]}, ("n_layer",)),
            )
        ):
            with self.subTest(words):
                source = self.original(tensors | extra, config, f"bad{number}")
                self.convert(source, 3, *words)
                self.assertFalse(self.out.exists())
                self.check(run("decompose", source, "--out", self.folder / f"d{number}"), 3, *words)
        gap = tensors | {"blocks.2.weight": tensors["blocks.0.weight"]}
        self.convert(self.original(gap, name="gap"), 3, "layer 1", "layer 2")
        self.check(
            run("convert", self.original(tensors, name="good"), self.out, "--gate", "none", "--tokenizer", self.folder),
            2,
            "--tokenizer",
        )

    def test_decompose_respects_the_residual_and_refuses_the_gate(self):
        """The original and its conversion are one model, so their decompositions are one."""
        tensors = packed_classifier(2, bias=True)
        source = self.original(tensors, {"n_layer": 2, "d_hidden": 24, "residual": True, "gate": None})
        self.convert(source)
        for model, out in ((source, "a"), (self.out, "b")):
            self.check(run("decompose", model, "--out", self.folder / out, "--set", "k=3", "--set", "analyses=[]"), 0)
        for layer in ("layer_0.safetensors", "layer_1.safetensors"):
            a, b = load_file(self.folder / "a" / layer), load_file(self.folder / "b" / layer)
            self.assertEqual(set(a), set(b))
            self.assertIn("linear", a)
            for name in a:
                self.assertTrue(np.array_equal(a[name], b[name], equal_nan=True), name)
        gated = self.original(tensors, {"n_layer": 2, "d_hidden": 24, "gate": "relu"}, "gated")
        self.check(run("decompose", gated, "--out", self.folder / "c"), 3, "relu")


def transformer(n_layer=2, n_head=2, d=16, h=24, vocabulary=29, bias=False, gains=False):
    draw = draws(3)
    tensors = {"transformer.wte.weight": draw(vocabulary, d) * 4, "lm_head.weight": draw(vocabulary, d) * 2}
    for n in range(n_layer):
        block = f"transformer.h.{n}."
        tensors |= {
            block + "attn.qkv.weight": draw(3 * d, d) * 2,
            block + "attn.o.weight": draw(d, d),
            block + "attn.rotary.inv_freq": (10000.0 ** (-np.arange(0, d // n_head, 2) / (d // n_head))).astype(
                np.float32
            ),
            block + "mlp.w.weight": draw(2 * h, d),
            block + "mlp.p.weight": draw(d, h),
        }
        if bias:
            tensors |= {
                block + "mlp.w.bias": draw(1, 2 * h)[0],
                block + "mlp.p.bias": draw(1, d)[0],
                block + "attn.qkv.bias": draw(1, 3 * d)[0],
            }
    if gains:
        for norm in [f"transformer.h.{n}.n{i}" for n in range(n_layer) for i in (1, 2)] + ["transformer.n_f"]:
            tensors |= {norm + ".norm.weight": 1 + draw(1, d)[0], norm + ".norm.bias": np.zeros(d, np.float32)}
    config = {
        "n_layer": n_layer,
        "n_head": n_head,
        "n_ctx": 32,
        "d_model": d,
        "d_hidden": h,
        "bilinear": True,
        "gate": None,
        "bias": bias,
        "normalization": True,
        "tokenizer": "ts-4096",
        "architectures": ["Transformer"],
        "eos_token_id": 1,
    }
    return tensors, config


def transformer_logits(tensors, config, tokens):
    """[t] -> [t, vocabulary], in float64, as the reference code computes it."""
    w = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    t, heads, size = len(tokens), config["n_head"], config["d_model"] // config["n_head"]
    angles = np.arange(t)[:, None] * np.tile(10000.0 ** (-np.arange(0, size, 2) / size), 2)
    scale = (2 * config["n_layer"]) ** -0.5 if config.get("scale_attn", True) else 1

    def norm(x, name):
        return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + 1e-8) * w.get(name + ".norm.weight", 1)

    def turn(x):
        return x * np.cos(angles) + np.concatenate([-x[..., size // 2 :], x[..., : size // 2]], -1) * np.sin(angles)

    x = w["transformer.wte.weight"][tokens]
    for n in range(config["n_layer"]):
        block = f"transformer.h.{n}."
        qkv = norm(x, block + "n1") @ w[block + "attn.qkv.weight"].T + w.get(block + "attn.qkv.bias", 0)
        q, k, v = qkv.reshape(t, 3, heads, size).transpose(1, 2, 0, 3)
        scores = turn(q) @ turn(k).transpose(0, 2, 1) / np.sqrt(size)
        scores = np.where(np.tril(np.ones((t, t))) > 0, scores, -np.inf)
        pattern = np.exp(scores - scores.max(-1, keepdims=True))
        z = (pattern / pattern.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(t, -1)
        x = x + scale * (z @ w[block + "attn.o.weight"].T)
        left, right = np.split(
            norm(x, block + "n2") @ w[block + "mlp.w.weight"].T + w.get(block + "mlp.w.bias", 0), 2, axis=1
        )
        x = x + GATES[config["gate"]](left) * right @ w[block + "mlp.p.weight"].T + w.get(block + "mlp.p.bias", 0)
    return norm(x, "transformer.n_f") @ w["lm_head.weight"].T


class Transformers(TestCase):
    def original(self, tensors, config, name="original"):
        return Classifiers.original(self, tensors, config, name)

    def test_the_loss_is_the_originals(self):
        tokens = np.random.default_rng(5).integers(0, 29, 32)
        (self.folder / "tokens.bin").write_bytes(tokens.astype("<u2").tobytes())
        for number, (changes, shape) in enumerate(
            (
                ({}, {}),
                ({"gate": "silu"}, dict(bias=True)),
                ({"scale_attn": False}, dict(gains=True, n_layer=3, n_head=4)),
            )
        ):
            with self.subTest(changes):
                tensors, config = transformer(**shape)
                config |= changes
                out = self.folder / f"converted{number}"
                self.check(run("convert", self.original(tensors, config, f"original{number}"), out), 0)
                written = json.loads((out / "config.json").read_text())
                self.assertEqual((written["model_type"], written["hidden_act"]), ("llama", config["gate"] or "linear"))
                expected = transformer_logits(tensors, config, tokens)[:-1]
                expected -= expected.max(1, keepdims=True)
                loss = np.mean(np.log(np.exp(expected).sum(1)) - expected[np.arange(31), tokens[1:]])
                done = run("evaluate", out, "--data", f"tokens:{self.folder}/tokens.bin", "--context", "32", "--json")
                (result,) = self.document(self.check(done, 0))["results"]
                self.assertAlmostEqual(result["loss"] / loss, 1, delta=2e-6)  # float32 against float64
        self.assertGreater(loss, 1)

    def test_what_a_llama_cannot_express_is_named(self):
        tensors, config = transformer()
        block = "transformer.h.0."
        frequencies = np.ones_like(tensors[block + "attn.rotary.inv_freq"])
        for number, (extra, changes, words) in enumerate(
            (
                ({}, {"normalization": False}, ("normalization", "RMS norms")),
                ({}, {"attention2": True}, ("attention2",)),
                ({}, {"n_head": None}, ("n_head",)),
                ({}, {"n_layer": 3}, ("n_layer",)),
                ({}, {"n_head": 3}, ("num_attention_heads",)),
                ({block + "n1.norm.bias": np.ones(16, np.float32)}, {}, (block + "n1.norm.bias", "no bias")),
                ({block + "mlp.w.gate.c": np.ones(24, np.float32)}, {}, ("also " + block + "mlp.w.gate.c",)),
                ({block + "attn.rotary.inv_freq": frequencies}, {}, ("inv_freq", "base 10000")),
                ({"lm_head.weight": tensors["lm_head.weight"][1:].copy()}, {}, ("lm_head.weight", "[29, 16]")),
            )
        ):
            with self.subTest(words):
                source = self.original(tensors | extra, config | changes, f"bad{number}")
                self.check(run("convert", source, self.folder / "out"), 3, *words)
                self.assertFalse((self.folder / "out").exists())
        self.check(run("convert", self.original(tensors, None, "bare"), self.folder / "out"), 3, "n_head")
        self.check(run("evaluate", self.folder / "bad0", "--data", "mnist-5k"), 3, "bilens convert")

    def test_its_mlps_are_decomposed_where_they_lie(self):
        tensors, config = transformer()
        source = self.original(tensors, config)
        self.check(run("decompose", source, "--out", self.folder / "d", "--set", "k=2", "--set", 'dtype="float64"'), 0)
        left, right = np.split(tensors["transformer.h.1.mlp.w.weight"].astype(np.float64), 2)
        q = np.einsum("oh,hi,hj->oij", tensors["transformer.h.1.mlp.p.weight"].astype(np.float64), left, right)
        values = np.linalg.eigvalsh((q + q.transpose(0, 2, 1)) / 2)
        expected = np.take_along_axis(values, np.argsort(-np.abs(values), 1)[:, :2], 1)
        found = load_file(self.folder / "d/layer_1.safetensors")["eigenvalues"]
        self.assertLess(np.abs(found - expected).max(), 1e-12 * np.abs(values).max())
        gated = self.original(tensors, config | {"gate": "gelu"}, "gated")
        self.check(run("decompose", gated, "--out", self.folder / "g"), 3, "gelu")
        name = "transformer.h.0.mlp.w.gate.c"
        learned = self.original(tensors | {name: np.ones(24, np.float32)}, config, "learned")
        self.check(run("decompose", learned, "--out", self.folder / "l"), 3, name)


if __name__ == "__main__":
    unittest.main()
