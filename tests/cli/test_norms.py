"""Which norm folds into an MLP, and how, is decided by what the model says it is."""

import json
import unittest

import numpy as np
from safetensors.numpy import save_file

from bilens_cli import run
from layers import LayersTest, draw, mlp, of_mlp

BLOCK = "model.layers.0."
NAMES = {
    name: f"{BLOCK}{name}.weight"
    for name in (
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
        "post_attention_layernorm",
    )
}


class Norms(LayersTest):
    def setUp(self):
        super().setUp()
        self.w = 1 + draw(7, 8) / 4
        self.behind = 1 + draw(8, 8) / 4
        self.decoys = {name: draw(20 + i, 8) for i, name in enumerate(NAMES.values())}

    def norms(self, **given):
        """The norms of a block: those named, and decoys in the places of the others where `decoys` says so."""
        return {NAMES[name]: np.float32(value) for name, value in given.items()}

    def test_the_table(self):
        w, behind, other = self.w, self.behind, draw(9, 8)
        rows = [
            (
                ("llama", "mistral", "qwen2", "qwen3", "smollm3", "phi3"),
                self.norms(input_layernorm=other, post_attention_layernorm=w),
                dict(gain=w),
                ("rms", "w"),
            ),
            (
                ("gemma",),
                self.norms(input_layernorm=other, post_attention_layernorm=w - 1),
                dict(gain=(w - 1).astype(float) + 1),
                ("rms", "1 + w"),
            ),
            (
                ("gemma2", "gemma3_text"),
                self.norms(
                    input_layernorm=other,
                    post_attention_layernorm=other,
                    pre_feedforward_layernorm=w - 1,
                    post_feedforward_layernorm=behind - 1,
                ),
                dict(gain=(w - 1).astype(float) + 1, behind=(behind - 1).astype(float) + 1),
                ("rms", "1 + w"),
            ),
            (
                ("olmo2",),
                self.norms(post_attention_layernorm=other, post_feedforward_layernorm=behind),
                dict(behind=behind),
                ("none", "w"),
            ),
            (
                ("stablelm",),
                self.norms(input_layernorm=other, post_attention_layernorm=w),
                dict(gain=w),
                ("layer", "w"),
            ),
        ]
        for types, norms, gains, (kind, gain) in rows:
            for model_type in types:
                with self.subTest(model_type):
                    act = (
                        {"hidden_activation": "linear"}
                        if model_type.startswith("gemma") and model_type != "gemma"
                        else {"hidden_act": "linear"}
                    )
                    folder = self.model(model_type, {**mlp(1), **norms}, model_type=model_type, **act)
                    self.decompose(folder)
                    self.assert_spectrum(of_mlp(mlp(1), **gains))
                    about = self.description()
                    self.assertEqual(
                        (about["fold_norm"], about["norm"]["kind"], about["norm"]["gain"]), (True, kind, gain)
                    )
                    self.assertIn(model_type, about["norm"]["source"])
                    self.decompose(folder, "fold_norm=false")
                    self.assert_spectrum(of_mlp(mlp(1)))
                    self.assertFalse(self.description()["fold_norm"])

    def test_the_text_part_of_a_larger_model(self):
        prefix = "language_model." + BLOCK
        tensors = {
            **mlp(1, prefix + "mlp."),
            prefix + "pre_feedforward_layernorm.weight": self.w - 1,
            prefix + "post_feedforward_layernorm.weight": self.behind - 1,
        }
        folder = self.model(
            "gemma3",
            tensors,
            model_type="gemma3",
            text_config={"model_type": "gemma3_text", "hidden_activation": "linear"},
        )
        self.decompose(folder)
        self.assert_spectrum(
            of_mlp(mlp(1), gain=(self.w - 1).astype(float) + 1, behind=(self.behind - 1).astype(float) + 1)
        )

    def test_a_norm_with_a_bias_is_a_linear_part(self):
        beta = draw(11, 8)
        for parallel, name in ((False, "post_attention_layernorm"), (True, "input_layernorm")):
            norms = {NAMES[name]: self.w, NAMES[name].replace("weight", "bias"): beta}
            self.decompose(
                self.model(
                    f"stablelm{parallel}",
                    {**mlp(1), **norms},
                    model_type="stablelm",
                    hidden_act="linear",
                    use_parallel_residual=parallel,
                )
            )
            self.assert_spectrum(of_mlp(mlp(1), gain=self.w))
            gate, up, down = (t.astype(float) for t in mlp(1).values())
            b, c = gate @ beta, up @ beta
            found = self.layer()
            np.testing.assert_allclose(
                found["linear"], down @ ((gate * self.w) * c[:, None] + (up * self.w) * b[:, None]), atol=1e-11
            )
            np.testing.assert_allclose(found["constant"], down @ (b * c), atol=1e-11)

    def test_norms_that_nobody_knows_are_refused_unless_left_out_or_named(self):
        tensors = {**mlp(1), NAMES["post_attention_layernorm"]: self.w}
        for path, flags in (
            (self.model("new", tensors, model_type="newton", hidden_act="linear"), ()),
            (self.file(tensors), ("--gate", "none")),
        ):
            words = self.refusal(path, flags=flags)
            self.assertIn("post_attention_layernorm", words)
            self.assertIn("fold_norm=false", words)
            self.decompose(path, "fold_norm=false", flags=flags)
            self.assert_spectrum(of_mlp(mlp(1)))
            named = "weights.norm=model.layers.{layer}.post_attention_layernorm.weight"
            self.decompose(path, named, flags=flags)
            self.assert_spectrum(of_mlp(mlp(1), gain=self.w))
            self.decompose(path, named, "weights.norm_gain=1+w", flags=flags)
            self.assert_spectrum(of_mlp(mlp(1), gain=1 + self.w.astype(float)))
            self.assertEqual(self.description()["norm"]["source"], "weights.norm")
            self.refusal(path, named, "fold_norm=false", flags=flags, expect=2)

    def test_a_norm_that_is_missing_or_one_too_many(self):
        some = self.model(
            "some",
            {**mlp(1), **mlp(5, "model.layers.1.mlp."), **self.norms(post_attention_layernorm=self.w)},
            model_type="llama",
            hidden_act="linear",
        )
        self.assertIn("model.layers.1.post_attention_layernorm.weight", self.refusal(some))
        none = self.model("none", mlp(1), model_type="llama", hidden_act="linear")
        self.assertIn("no norm post_attention_layernorm", self.decompose(none, flags=("--quiet",)).stderr)
        self.assert_spectrum(of_mlp(mlp(1)))
        self.assertEqual((self.description()["fold_norm"], self.description()["norm"]["before"]), (False, None))
        self.assertIn("traceless", self.refusal(none, "traceless=true", expect=2))
        front = self.model(
            "front",
            {**mlp(1), **self.norms(pre_feedforward_layernorm=self.w - 1)},
            model_type="gemma2",
            hidden_activation="linear",
        )
        self.assertIn("no norm post_feedforward_layernorm", self.decompose(front, flags=("--quiet",)).stderr)
        self.assert_spectrum(of_mlp(mlp(1), gain=(self.w - 1).astype(float) + 1))
        self.assertIsNone(self.description()["norm"]["behind"])
        # With the layer's attention it is a whole model, which has them.
        attention = {NAMES["post_attention_layernorm"].replace("post_attention_layernorm", "self_attn.o_proj"): self.w}
        for name, config, missing in (
            ("llama", {"hidden_act": "linear"}, "post_attention_layernorm"),
            ("gemma2", {"hidden_activation": "linear"}, "pre_feedforward_layernorm"),
            ("olmo2", {"hidden_act": "linear"}, "post_feedforward_layernorm"),
        ):
            whole = self.model(f"whole {name}", {**mlp(1), **attention}, model_type=name, **config)
            self.assertIn("attention is there", self.refusal(whole))
            self.assertIn(missing, self.refusal(whole))
        more = self.model(
            "more",
            {**mlp(1), **self.norms(post_attention_layernorm=self.w, post_feedforward_layernorm=self.w)},
            model_type="llama",
            hidden_act="linear",
        )
        self.assertIn("post_feedforward_layernorm", self.refusal(more))

    def test_a_norm_in_another_shard_is_found(self):
        folder = self.model("sharded", {}, model_type="llama", hidden_act="linear")
        (folder / "model.safetensors").unlink()
        first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
        norm = {NAMES["post_attention_layernorm"]: self.w}
        save_file(mlp(1), folder / first)
        save_file(norm, folder / second)
        names = {**dict.fromkeys(mlp(1), first), **dict.fromkeys(norm, second)}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
        for path in (folder, folder / first):
            self.decompose(path)
            self.assert_spectrum(of_mlp(mlp(1), gain=self.w))
            sets = [part for setting in ("k=all", "dtype=float64", "analyses=[]") for part in ("--set", setting)]
            self.check(run("decompose", path, "--out", self.out, *sets, "--resume"), 0)  # finished: of the same files
        (folder / second).unlink()
        self.assertIn(second, self.refusal(folder / first))

    def test_the_papers_transformers_have_a_gain(self):
        tensors = {
            "transformer.wte.weight": draw(1, 9, 8),
            "lm_head.weight": draw(2, 9, 8),
            "transformer.n_f.norm.weight": np.ones(8, np.float32),
        }
        block = "transformer.h.0."
        gate, up, down = mlp(1).values()
        tensors |= {
            block + "mlp.w.weight": np.concatenate([gate, up]),
            block + "mlp.p.weight": down,
            block + "attn.qkv.weight": draw(5, 24, 8),
            block + "attn.o.weight": draw(6, 8, 8),
            block + "n1.norm.weight": np.ones(8, np.float32),
        }
        config = dict(n_layer=1, n_head=1, n_ctx=8, d_model=8, d_hidden=12, gate=None)
        self.decompose(self.model("with", {**tensors, block + "n2.norm.weight": self.w}, **config))
        self.assert_spectrum(of_mlp(mlp(1), gain=self.w))
        self.decompose(self.model("without", tensors, **config))
        self.assert_spectrum(of_mlp(mlp(1)))

    def test_the_trace_is_free_only_behind_a_norm_that_is_folded(self):
        raw = self.model(
            "olmo2",
            {**mlp(1), **self.norms(post_feedforward_layernorm=self.w)},
            model_type="olmo2",
            hidden_act="linear",
        )
        self.assertIn("traceless", self.refusal(raw, "traceless=true", expect=2))
        llama = self.model(
            "llama", {**mlp(1), **self.norms(post_attention_layernorm=self.w)}, model_type="llama", hidden_act="linear"
        )
        self.assertIn("traceless", self.refusal(llama, "traceless=true", "fold_norm=false", expect=2))
        self.decompose(llama, "traceless=true")

    def test_differences_need_one_input_space(self):
        llama = self.model(
            "llama", {**mlp(1), **self.norms(post_attention_layernorm=self.w)}, model_type="llama", hidden_act="linear"
        )
        olmo = self.model(
            "olmo2",
            {**mlp(5), **self.norms(post_feedforward_layernorm=self.w)},
            model_type="olmo2",
            hidden_act="linear",
        )
        self.assertIn("input space", self.refusal(llama, flags=("--minus", olmo)))

    def test_the_fold_is_in_float64(self):
        """Two eigenvalues whose float32 products tie differently from the exact ones: the proved bound must lie above
        the second."""
        rng = np.random.default_rng(1)
        while True:
            gain, w = (rng.uniform(0.5, 2, 2).astype(np.float32) for _ in range(2))
            exact = lambda i, v: float(w[i]) * float(gain[i]) ** 2 * float(v)
            v = np.array([1, exact(0, 1) / (float(w[1]) * float(gain[1]) ** 2)], np.float32)
            rounded = [float(np.float32(w[i] * gain[i])) * float(np.float32(v[i] * gain[i])) for i in (0, 1)]
            if min(exact(0, v[0]), exact(1, v[1])) > sum(rounded) / 2 * (1 + 2e-8):
                break
        tensors = {
            f"{BLOCK}mlp.gate_proj.weight": np.diag(w),
            f"{BLOCK}mlp.up_proj.weight": np.diag(v),
            f"{BLOCK}mlp.down_proj.weight": np.ones((1, 2), np.float32),
            NAMES["post_attention_layernorm"]: gain,
        }
        folder = self.model("tie", tensors, model_type="llama", hidden_act="linear")
        values = sorted((exact(i, v[i]) for i in (0, 1)), reverse=True)
        for dtype in ("float64", "float32"):
            self.decompose(folder, "k=1", "certify=true", f"dtype={dtype}")
            bound = self.layer()["certified_bound"][0]
            self.assertFalse(bound <= values[1], (bound, values))
            self.assertAlmostEqual(
                self.layer()["eigenvalues"][0, 0], values[0], delta=1e-15 if dtype == "float64" else 1e-12
            )


if __name__ == "__main__":
    unittest.main()
