"""Llamas under Meta's names, as they are and through `bilens convert`: Meta's own layout, in one file and in parts, and
checkpoints of llama2.c's training script. The logits are those of Meta's forward pass, written here in PyTorch with
complex rotary factors, in float64."""

import hashlib
import json
import unittest

import numpy as np
from safetensors.numpy import load_file

from bilens_cli import TestCase, run

try:
    import torch
except ImportError:
    torch = None


def meta_weights(dim=16, layers=2, heads=4, kv_heads=2, vocabulary=40, hidden=32, tied=False, seed=0):
    """Random, in bfloat16's numbers, so that every dtype holds them."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: (torch.randn(*shape, generator=generator) / shape[-1] ** 0.5).bfloat16().float()
    head_dim = dim // heads
    w = {"tok_embeddings.weight": draw(vocabulary, dim) * 2, "norm.weight": 1 + draw(1, dim)[0]}
    w["norm.weight"] = w["norm.weight"].bfloat16().float()
    w["output.weight"] = w["tok_embeddings.weight"] if tied else draw(vocabulary, dim)
    for layer in range(layers):
        at = f"layers.{layer}."
        for name, rows in (("wq", dim), ("wk", kv_heads * head_dim), ("wv", kv_heads * head_dim), ("wo", dim)):
            w[f"{at}attention.{name}.weight"] = draw(rows, dim) * 2
        for name, shape in (("w1", (hidden, dim)), ("w3", (hidden, dim)), ("w2", (dim, hidden))):
            w[f"{at}feed_forward.{name}.weight"] = draw(*shape)
        for name in ("attention_norm", "ffn_norm"):
            w[f"{at}{name}.weight"] = (1 + draw(1, dim)[0]).bfloat16().float()
    return w


def scaled(freqs, factor=8, low=1, high=4, length=8192):
    """Llama 3.1's angles: short wavelengths stay, long ones are stretched, between them it is interpolated."""
    result = []
    for freq in freqs.tolist():
        wavelength = 2 * np.pi / freq
        share = np.clip((length / wavelength - low) / (high - low), 0, 1)
        result.append(freq * ((1 - share) / factor + share))
    return torch.tensor(result, dtype=torch.float64)


def meta_logits(w, tokens, heads, kv_heads, epsilon=1e-5, theta=10000.0, factor=None):
    """[tokens, vocabulary]: neighbouring numbers of a head are one complex number, turned by the position."""
    w = {name: tensor.double() for name, tensor in w.items()}
    dim = w["norm.weight"].numel()
    width = dim // heads
    norm = lambda x, gain: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + epsilon) * gain
    freqs = theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    if factor:
        freqs = scaled(freqs, factor)
    angles = torch.outer(torch.arange(len(tokens), dtype=torch.float64), freqs)
    turn = torch.polar(torch.ones_like(angles), angles)[:, None]
    turned = lambda x: torch.view_as_real(
        torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous()) * turn
    ).flatten(2)
    h = w["tok_embeddings.weight"][torch.tensor(tokens)]
    for layer in range(sum(name.endswith("ffn_norm.weight") for name in w)):
        at = f"layers.{layer}."
        x = norm(h, w[at + "attention_norm.weight"])
        q, k, v = (
            (x @ w[f"{at}attention.{name}.weight"].T).reshape(len(tokens), -1, width) for name in ("wq", "wk", "wv")
        )
        q, k = turned(q), turned(k)
        k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (k, v))
        scores = torch.einsum("ihc,jhc->hij", q, k) / width**0.5
        scores = scores.masked_fill(torch.ones(len(tokens), len(tokens)).triu(1).bool(), -torch.inf)
        out = torch.einsum("hij,jhc->ihc", scores.softmax(-1), v).reshape(len(tokens), -1)
        h = h + out @ w[at + "attention.wo.weight"].T
        x = norm(h, w[at + "ffn_norm.weight"])
        gate, up, down = (w[f"{at}feed_forward.{name}.weight"] for name in ("w1", "w3", "w2"))
        h = h + (torch.nn.functional.silu(x @ gate.T) * (x @ up.T)) @ down.T
    return (norm(h, w["norm.weight"]) @ w["output.weight"].T).numpy()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def mean_loss(logits, tokens):
    shifted = logits[:-1] - logits[:-1].max(-1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(-1)) - shifted[np.arange(len(tokens) - 1), tokens[1:]]))


PARAMS = {
    "dim": 16,
    "multiple_of": 16,
    "n_heads": 4,
    "n_kv_heads": 2,
    "n_layers": 2,
    "norm_eps": 1e-5,
    "vocab_size": -1,
}


@unittest.skipIf(torch is None, "no torch in this Python")
class MetaCase(TestCase):
    def setUp(self):
        super().setUp()
        self.tokens = [1, *np.random.default_rng(5).integers(3, 40, 29).tolist()]
        np.array(self.tokens, "<u2").tofile(self.folder / "tokens.bin")

    def meta(self, w, params=PARAMS, parts=1, name="meta", embedding_rows=False):
        """Meta's layout; embeddings in parts by columns as Llama 2's, or by rows as Llama 3's."""
        folder = self.folder / name
        folder.mkdir()
        for part in range(parts):
            stored = {}
            for key, tensor in w.items():
                rows = (
                    "output" in key
                    or any(f".{x}." in key for x in ("wq", "wk", "wv", "w1", "w3"))
                    or ("tok_" in key and embedding_rows)
                )
                columns = any(f".{x}." in key for x in ("wo", "w2")) or ("tok_" in key and not embedding_rows)
                stored[key] = (
                    tensor.chunk(parts, 0)[part].clone()
                    if rows
                    else tensor.chunk(parts, 1)[part].clone()
                    if columns
                    else tensor.clone()
                )
            torch.save(stored, folder / f"consolidated.{part:02}.pth")
        (folder / "params.json").write_text(json.dumps(params))
        return folder

    def converted(self, source, *words, code=0, out="out"):
        self.check(run("convert", source, self.folder / out), code, *words)
        return self.folder / out

    def check_loss(self, out, w, heads=4, kv_heads=2, **kwargs):
        """The program's loss on the tokens, in float32, against Meta's forward pass."""
        expected = mean_loss(meta_logits(w, self.tokens, heads, kv_heads, **kwargs), self.tokens)
        (result,) = self.document(
            self.check(run("evaluate", out, "--data", f"tokens:{self.folder / 'tokens.bin'}", "--json"), 0)
        )["results"]
        self.assertAlmostEqual(result["loss"] / expected, 1, delta=1e-6)  # float32 against float64


class Meta(MetaCase):
    def test_one_file(self):
        w = meta_weights(hidden=48)
        source = self.meta({**w, "rope.freqs": (10000 ** (-torch.arange(0, 4, 2) / 4)).bfloat16()})
        out = self.converted(source)
        self.check_loss(out, w)
        config = json.loads((out / "config.json").read_text())
        self.assertEqual((config["vocab_size"], config["intermediate_size"], config["hidden_act"]), (40, 48, "silu"))
        self.assertFalse(config["tie_word_embeddings"])
        self.assertEqual(config["torch_dtype"], "float32")
        # Nothing is rounded: the same numbers, only the rows of wq and wk in another order.
        stored = load_file(out / "model.safetensors")
        q = w["layers.0.attention.wq.weight"].numpy().reshape(4, 2, 2, 16).transpose(0, 2, 1, 3).reshape(16, 16)
        np.testing.assert_array_equal(stored["model.layers.0.self_attn.q_proj.weight"], q)
        np.testing.assert_array_equal(
            stored["model.layers.1.mlp.down_proj.weight"], w["layers.1.feed_forward.w2.weight"]
        )
        # Its one file alone says the same.
        again = self.converted(source / "consolidated.00.pth", out="again")
        self.assertEqual((again / "model.safetensors").read_bytes(), (out / "model.safetensors").read_bytes())

    def test_in_parts(self):
        w = meta_weights(hidden=48)
        for rows in (False, True):
            with self.subTest(embedding_rows=rows):
                source = self.meta(w, parts=2, name=f"meta{rows}", embedding_rows=rows)
                out = self.converted(source, out=f"out{rows}")
                stored = load_file(out / "model.safetensors")
                np.testing.assert_array_equal(stored["model.embed_tokens.weight"], w["tok_embeddings.weight"])
                self.check_loss(out, w)
                self.assertTrue(self.converted(source / "consolidated.01.pth", out=f"again{rows}").exists())
        source = self.meta(w, parts=2, name="gap")
        (source / "consolidated.01.pth").rename(source / "consolidated.02.pth")
        self.converted(source, "consolidated.01.pth", "each part", code=3, out="x")
        (source / "consolidated.02.pth").unlink()
        self.converted(source, "48", code=3, out="x")  # half of the hidden units are not there

    def test_scaled_angles_and_another_base(self):
        """Wavelengths on both sides of those that are stretched, as of Llama 3.1."""
        w = meta_weights(dim=64, heads=2, kv_heads=1, hidden=192)
        params = {
            **PARAMS,
            "dim": 64,
            "n_heads": 2,
            "n_kv_heads": 1,
            "multiple_of": 64,
            "ffn_dim_multiplier": 1.0,
            "rope_theta": 500000.0,
        }
        self.check_loss(self.converted(self.meta(w, params, name="base"), out="base.out"), w, 2, 1, theta=500000.0)
        losses = [
            mean_loss(meta_logits(w, self.tokens, 2, 1, theta=500000.0, factor=factor), self.tokens)
            for factor in (None, 8, 32)
        ]
        self.assertGreater(np.abs(np.diff(losses)).min(), 1e-5 * losses[0])  # so that each would be noticed
        for factor in (None, 32):
            said = {**params, "use_scaled_rope": True, **({"rope_scaling_factor": factor} if factor else {})}
            out = self.converted(self.meta(w, said, name=f"scaled{factor}"), out=f"scaled{factor}.out")
            config = json.loads((out / "config.json").read_text())
            self.assertEqual(
                config["rope_scaling"],
                {
                    "rope_type": "llama3",
                    "factor": float(factor or 8),
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 8192,
                },
            )
            self.check_loss(out, w, 2, 1, theta=500000.0, factor=factor or 8)

    def test_what_is_not_certain_is_refused(self):
        w = meta_weights(hidden=48)

        def refuse(params, *words, weights=w):
            self.number = getattr(self, "number", 0) + 1
            self.converted(self.meta(weights, {**PARAMS, **params}, name=f"bad{self.number}"), *words, code=3, out="x")

        refuse({"multiple_of": 64}, "multiple_of", "48 hidden units", "found 64")
        refuse({"ffn_dim_multiplier": 1.5}, "multiple_of", "48 hidden units", "64")
        refuse({"vocab_size": 41}, "vocab_size", "40 tokens", "41")
        refuse({"sliding_window": 16}, "sliding_window")
        refuse({"n_heads": 3}, "num_attention_heads (3)")
        refuse({"n_layers": 1}, "also layers.1.")
        refuse({"n_layers": 3}, "layers.2.")
        refuse(
            {"rope_theta": 500000.0},
            "rope.freqs",
            "angles of base 500000",
            weights={**w, "rope.freqs": 10000 ** (-torch.arange(0, 4, 2) / 4)},
        )
        refuse(
            {},
            "also layers.0.attention.q_norm.weight",
            weights={**w, "layers.0.attention.q_norm.weight": torch.ones(4)},
        )
        refuse({}, "float32, bfloat16", weights={**w, "norm.weight": torch.ones(16, dtype=torch.int8)})
        # Llama 3.2's params.json does not say by what its angles are stretched, and two sources differ.
        small = meta_weights(dim=2048, layers=1, heads=32, kv_heads=8, vocabulary=8, hidden=64)
        refuse(
            {
                "dim": 2048,
                "n_heads": 32,
                "n_kv_heads": 8,
                "n_layers": 1,
                "multiple_of": 64,
                "ffn_dim_multiplier": 0.01,
                "use_scaled_rope": True,
            },
            "rope_scaling_factor",
            "32",
            weights=small,
        )

    def test_without_params(self):
        source = self.meta(meta_weights(hidden=48))
        (source / "params.json").unlink()
        self.converted(source, "params.json", code=3)
        self.converted(source / "consolidated.00.pth", "params.json", "model_args", code=3)

    def test_other_commands_take_it(self):
        w = meta_weights(hidden=48)
        for parts in (1, 2):
            with self.subTest(parts=parts):
                source = self.meta(w, parts=parts, name=f"meta{parts}")
                out = self.converted(source, out=f"out{parts}")
                for path in (source, source / "consolidated.00.pth"):
                    self.check_loss(path, w)
                values, hashes = [], []
                for path in (source, out):
                    d = self.folder / f"{path.name}.d"
                    self.check(run("decompose", path, "--out", d, "--set", "surrogate=half", "--set", "k=3"), 0)
                    values.append(load_file(d / "layer_1.safetensors")["eigenvalues"])
                    hashes.append(json.loads((d / "decomposition.json").read_text())["model_sha256"])
                np.testing.assert_array_equal(*values)
                if parts == 2:
                    part = source / "consolidated.01.pth"
                    self.check(
                        run("decompose", part, "--set", "surrogate=half"), 3, "one of several", "Name their folder"
                    )
                if parts == 1:  # of the file as it is, not of what is made of it
                    self.assertEqual(hashes[0], sha256(source / "consolidated.00.pth"))
                shown = self.check(run("inspect", source), 0).stdout
                self.assertIn("model.layers.1.self_attn.q_proj.weight", shown)
                self.assertIn('"llama"', shown)
                self.check(run("report", self.folder / f"{source.name}.d", "--out", self.folder / "r.html"), 0)
                self.check(run("check", source), 3, "bilens convert")

    def test_a_teacher(self):
        source = self.meta(meta_weights(hidden=48))
        np.random.default_rng(0).integers(3, 40, 4000).astype("<u2").tofile(self.folder / "many.bin")
        result = run(
            *("finetune", "--out", self.folder / "run"),
            *("--set", f"teacher={source}", "--set", f"data.path={self.folder / 'many.bin'}"),
            *("--set", "data.dataset=tokens", "--set", "data.context=16", "--set", "device=cpu"),
            *("--set", 'stages=[{"kind": "calibrate"}]'),
        )
        self.check(result, 0)
        self.assertEqual(json.loads((self.folder / "run/model/config.json").read_text())["hidden_act"], "linear")


class TrainingCheckpoint(MetaCase):
    """llama2.c's ckpt.pt: the model behind torch.compile's prefix, its sizes in model_args."""

    def checkpoint(self, w, args, name="ckpt.pt", prefix="_orig_mod."):
        path = self.folder / name
        model = {prefix + key: tensor for key, tensor in w.items()}
        torch.save(
            {
                "model": model,
                "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}},
                "model_args": args,
                "iter_num": 7,
                "best_val_loss": torch.tensor(2.5),
                "config": {"out_dir": "out", "beta1": 0.9},
            },
            path,
        )
        return path

    def setUp(self):
        super().setUp()
        self.args = {
            "dim": 16,
            "n_layers": 2,
            "n_heads": 4,
            "n_kv_heads": 2,
            "vocab_size": 40,
            "multiple_of": 16,
            "max_seq_len": 64,
            "dropout": 0.0,
        }

    def test_one_file(self):
        w = meta_weights(hidden=48, tied=True)
        out = self.converted(self.checkpoint(w, self.args))
        self.check_loss(out, w)
        config = json.loads((out / "config.json").read_text())
        self.assertTrue(config["tie_word_embeddings"])
        self.assertEqual(config["max_position_embeddings"], 64)
        self.assertEqual(config["eos_token_id"], [1, 2])
        self.check_loss(self.folder / "ckpt.pt", w)
        self.assertNotIn("lm_head.weight", load_file(out / "model.safetensors"))

    def test_buffers_of_older_scripts(self):
        w = meta_weights(hidden=48)
        angles = torch.outer(torch.arange(64.0), 10000 ** (-torch.arange(0, 4, 2) / 4))
        buffers = {
            "freqs_cos": angles.cos(),
            "freqs_sin": angles.sin(),
            "freqs_cis": torch.polar(torch.ones_like(angles), angles),
            "layers.0.attention.mask": torch.full((1, 1, 64, 64), -torch.inf).triu(1),
        }
        for args in (self.args, {**self.args, "n_kv_heads": 2, "hidden_dim": None}):
            out = self.converted(self.checkpoint({**w, **buffers}, args), out=f"out{len(args)}")
            self.check_loss(out, w)
        wrong = {**w, "freqs_cos": (angles * 2).cos()}
        self.converted(self.checkpoint(wrong, self.args), "freqs_cos", "angles of base 10000", code=3, out="x")

    def test_what_is_not_certain_is_refused(self):
        w = meta_weights(hidden=48)
        self.converted(self.checkpoint(w, {**self.args, "multiple_of": 64}), "model_args", "multiple_of", code=3)
        self.converted(self.checkpoint(w, {**self.args, "arch": "llama"}), "arch", code=3)


if __name__ == "__main__":
    unittest.main()
