"""Models of LitGPT, read as whole decoders: with rows of queries, keys and values group by group, as its first
versions have them, and one above the other. Losses are those of its forward pass in float64 (lit_models.py)."""

import json
import unittest

import numpy as np
from safetensors.numpy import load_file

from bilens_cli import TestCase, run

try:
    import torch

    from lit_models import CONFIG, interleaved, lit_logits, lit_weights, yaml_of
except ImportError:
    torch = None


@unittest.skipIf(torch is None, "no torch in this Python")
class LitGpt(TestCase):
    def setUp(self):
        super().setUp()
        self.tokens = [1, *np.random.default_rng(5).integers(3, 40, 29).tolist()]
        np.array(self.tokens, "<u2").tofile(self.folder / "tokens.bin")
        self.data = ["--data", f"tokens:{self.folder / 'tokens.bin'}"]

    def lit(self, w, config, name="lit", as_json=False):
        folder = self.folder / name
        folder.mkdir()
        torch.save(w, folder / "lit_model.pth")
        if as_json:
            (folder / "lit_config.json").write_text(json.dumps(config))
        else:
            (folder / "model_config.yaml").write_text(yaml_of(config))
        return folder

    def loss(self, model):
        return self.document(self.check(run("evaluate", model, *self.data, "--json"), 0))["results"][0]["loss"]

    def expected_loss(self, w, config):
        rows = lit_logits(w, self.tokens, config)[:-1].log_softmax(-1)
        return -rows[torch.arange(len(rows)), torch.tensor(self.tokens[1:])].mean().item()

    def check_all_ways(self, config, name, model_type):
        """By the folder and by its file, in both orders of the rows, and converted."""
        w = lit_weights(config)
        expected = self.expected_loss(w, config)
        for weights, kind in ((w, "new"), (interleaved(w, config), "old")):
            with self.subTest(name=name, kind=kind):
                folder = self.lit(weights, config, f"{name}-{kind}", as_json=kind == "old")
                out = self.folder / f"{name}-{kind}-out"
                self.check(run("convert", folder, out), 0)
                self.assertEqual(json.loads((out / "config.json").read_text())["model_type"], model_type)
                for model in (folder, folder / "lit_model.pth", out):
                    self.assertAlmostEqual(self.loss(model) / expected, 1, delta=1e-6)
        return w

    def test_a_llama_with_grouped_queries(self):
        w = self.check_all_ways(CONFIG, "llama", "llama")
        k = load_file(self.folder / "llama-old-out" / "model.safetensors")["model.layers.1.self_attn.k_proj.weight"]
        np.testing.assert_array_equal(k, w["transformer.h.1.attn.qkv.weight"][24:32].numpy())

    def test_biases_windows_norms_of_heads_and_angles(self):
        angles = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_seq_len": 32}
        changes = {
            "biases": ({"bias": True}, "llama"),
            "qkv": ({"attn_bias": True}, "qwen2"),
            "heads": ({"norm_qk": True, "norm_qk_type": "default"}, "qwen3"),
            "window": ({"sliding_window_size": 5, "sliding_window_indices": [1, 1, 1]}, "mistral"),
            "stretched": ({"rope_adjustments": angles, "rope_base": 500}, "llama"),
            "condensed": ({"rope_condense_ratio": 4}, "llama"),
        }
        plain = self.expected_loss(lit_weights(CONFIG), CONFIG)
        for name, (change, model_type) in changes.items():
            config = {**CONFIG, **change}
            self.check_all_ways(config, name, model_type)
            self.assertGreater(abs(self.expected_loss(lit_weights(config), config) / plain - 1), 1e-4)

    def test_a_tied_head_and_the_tokens_of_the_hub(self):
        w = lit_weights(CONFIG)
        w["lm_head.weight"] = w["transformer.wte.weight"]
        folder = self.lit(w, CONFIG)
        (folder / "config.json").write_text(
            json.dumps({"model_type": "llama", "bos_token_id": 3, "eos_token_id": [4, 5]})
        )
        self.check(run("convert", folder, self.folder / "out"), 0)
        config = json.loads((self.folder / "out" / "config.json").read_text())
        self.assertEqual(
            (config["tie_word_embeddings"], config["bos_token_id"], config["eos_token_id"]), (True, 3, [4, 5])
        )
        self.assertAlmostEqual(self.loss(folder) / self.expected_loss(w, CONFIG), 1, delta=1e-6)

    def test_other_commands_take_it(self):
        folder = self.lit(lit_weights(CONFIG), CONFIG)
        self.check(run("convert", folder, self.folder / "out"), 0)
        numbers = []
        for name in ("lit", "lit/lit_model.pth", "out"):
            d = self.folder / f"{name.replace('/', '-')}.d"
            self.check(run("decompose", self.folder / name, "--out", d, "--set", "surrogate=half", "--set", "k=3"), 0)
            numbers.append(load_file(d / "layer_1.safetensors")["eigenvalues"])
            self.assertIn("model.layers.1.self_attn.k_proj.weight", run("inspect", self.folder / name).stdout)
        np.testing.assert_array_equal(numbers[0], numbers[2])
        np.testing.assert_array_equal(numbers[1], numbers[2])
        self.check(run("check", folder), 3, "bilens convert")

    def test_what_would_compute_something_else_is_refused(self):
        w = lit_weights(CONFIG)
        changes = {
            "parallel_residual": True,
            "norm_class_name": "LayerNorm",
            "mlp_class_name": "GemmaMLP",
            "name": "Gemma-2b",
            "rotary_percentage": 0.5,
            "scale_embeddings": True,
            "final_logit_softcapping": 30.0,
            "n_expert": 8,
            "post_mlp_norm": True,
            "norm_qk_type": "olmo2",
            "rope_adjustments": {"factor": 8.0, "beta_fast": 32.0},
            "lora_r": 8,
            "padded_vocab_size": 48,
            "n_query_groups": 4,
        }
        for number, (key, value) in enumerate(changes.items()):
            with self.subTest(key=key):
                folder = self.lit(w, {**CONFIG, key: value}, f"bad{number}")
                words = {"n_query_groups": ["num_attention_heads"], "rope_adjustments": [key, "beta_fast"]}.get(
                    key, [key]
                )
                self.check(run("evaluate", folder, *self.data), 3, str(folder), *words)
                self.check(run("convert", folder, self.folder / "x"), 3, *words)
        without = {key: value for key, value in CONFIG.items() if key != "parallel_residual"}
        self.check(run("evaluate", self.lit(w, without, "default"), *self.data), 3, "parallel_residual")
        self.check(
            run(
                "evaluate", self.lit({**w, "transformer.h.0.attn.lora_A": torch.ones(2, 2)}, CONFIG, "lora"), *self.data
            ),
            3,
            "also transformer.h.0.attn.lora_A",
        )
        folder = self.lit(w, CONFIG, "alone")
        (folder / "model_config.yaml").unlink()
        self.check(run("evaluate", folder, *self.data), 3, "model_config.yaml")
        self.check(run("evaluate", folder / "lit_model.pth", *self.data), 3, "model_config.yaml")

    def test_a_config_that_is_not_understood(self):
        w = lit_weights(CONFIG)
        good = yaml_of(CONFIG)
        for number, (text, words) in enumerate(
            (
                ("", ["LitGPT's config"]),
                (good.replace("n_head: 6", "n_head: &x 6"), ["line", "&x 6"]),
                (good.replace("n_head: 6", "n_head: six"), ["n_head", "six"]),
                (good.replace("n_head: 6", "n_head: 6\nn_head: 5"), ["each key once"]),
                (good + "   odd: 1\n", ["indentation"]),
                (good + "- 1\n", ["indentation"]),
                (good.replace("norm_eps: 1.0e-05", "norm_eps: .inf"), [".inf"]),
                (good + "deep:\n" + "".join(" " * (i + 1) + "a:\n" for i in range(30)), ["20 levels"]),
            )
        ):
            with self.subTest(text=text[-40:]):
                folder = self.lit(w, CONFIG, f"bad{number}")
                (folder / "model_config.yaml").write_text(text)
                self.check(run("evaluate", folder, *self.data), 3, "model_config.yaml", *words)


if __name__ == "__main__":
    unittest.main()
