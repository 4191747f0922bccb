"""What the gate is comes from the model, or from the user; nothing is taken to be bilinear."""

import json
import unittest

import numpy as np

from bilens_cli import run, test_data
from language_models import write_llama
from layers import LayersTest, mlp, of_mlp


class Gates(LayersTest):
    def test_a_file_that_says_nothing_is_asked_about_with_the_command_to_type(self):
        file = self.file(mlp(1))
        words = self.refusal(file, flags=("--quiet",))
        self.assertIn(f"bilens decompose {file}", words)
        self.assertIn("--quiet --gate none", words)
        self.decompose(file, flags=("--gate", "none"))
        self.assert_spectrum(of_mlp(mlp(1)))
        self.assertEqual(self.description()["gate"], {"name": "none", "source": "--gate"})
        self.decompose(file, "gate=none")
        self.assert_spectrum(of_mlp(mlp(1)))
        for gate in ("silu", "gelu", "gelu_tanh", "relu"):
            self.assertIn("surrogate", self.refusal(file, f"gate={gate}"))
            self.decompose(file, f"gate={gate}", "surrogate=half")
            self.assert_spectrum(of_mlp(mlp(1)) / 2)
            self.assertEqual(self.description()["surrogate"]["hidden_act"], gate)
        self.assertIn("gelu_tanh", self.refusal(file, "gate=glu", expect=2))

    def test_neither_named_weights_nor_a_surrogate_say_what_the_gate_is(self):
        file = self.file(mlp(1))
        named = [f"weights.{part}=model.layers.0.mlp.{part}_proj.weight" for part in ("gate", "up", "down")]
        self.assertIn("--gate none", self.refusal(file, *named))
        self.assertIn("--gate none", self.refusal(file, "surrogate=half"))
        folder = self.model("gated", mlp(1), model_type="llama", hidden_act="silu")
        self.assertIn("silu", self.refusal(folder, *named, "fold_norm=false"))

    def test_the_config_beside_a_named_file_counts(self):
        for act in ("silu", "gelu", "relu"):
            folder = self.model(act, mlp(1), model_type="llama", hidden_act=act)
            for path in (folder, folder / "model.safetensors"):
                self.assertIn(act, self.refusal(path, "fold_norm=false"))
        self.assertIn('"silu"', self.refusal(self.model("default", mlp(1), model_type="qwen2"), "fold_norm=false"))
        linear = self.model("linear", mlp(1), model_type="llama", hidden_act="linear")
        for path in (linear, linear / "model.safetensors"):
            self.decompose(path, "fold_norm=false")
            self.assert_spectrum(of_mlp(mlp(1)))
            self.assertEqual(self.description()["gate"]["name"], "none")
            self.assertIn("hidden_act", self.description()["gate"]["source"])

    def test_a_key_that_contradicts_the_config_is_refused(self):
        for act, gate in (("silu", "none"), ("linear", "silu"), ("gelu", "gelu_tanh")):
            folder = self.model(act, mlp(1), model_type="llama", hidden_act=act)
            self.assertIn(act, self.refusal(folder, f"gate={gate}", "fold_norm=false", expect=2))

    def test_gelu_means_its_approximation_in_the_first_gemma_alone(self):
        for kind, gate in (
            ("gemma", "gelu_tanh"),
            ("gemma2", "gelu"),
            ("gemma3n_text", "gelu"),
            ("gemma4_text", "gelu"),
        ):
            folder = self.model(kind, mlp(1), model_type=kind, hidden_activation="gelu")
            self.assertRegex(self.refusal(folder, "fold_norm=false"), rf"\b{gate}\b")
            self.decompose(folder, "fold_norm=false", "surrogate=half")
            self.assertEqual(self.description()["gate"]["name"], gate)

    def test_an_activation_that_is_no_name_is_refused(self):
        folder = self.model("number", mlp(1), model_type="llama", hidden_act=3)
        self.assertIn("hidden_act", self.refusal(folder, "surrogate=half"))

    def test_an_activation_without_a_bilinear_part_has_no_surrogate(self):
        folder = self.model("relu2", mlp(1), model_type="llama", hidden_act="relu2")
        self.assertIn("relu2", self.refusal(folder, "fold_norm=false", "surrogate=half"))

    def test_gemma_reads_other_keys(self):
        tensors = {**mlp(1), "model.layers.0.post_attention_layernorm.weight": np.zeros(8, np.float32)}
        for i, (config, gate) in enumerate(
            (
                ({"hidden_activation": "gelu_pytorch_tanh"}, "gelu_tanh"),
                ({"hidden_act": "gelu"}, "gelu_tanh"),
                ({}, "gelu_tanh"),
            )
        ):
            self.decompose(self.model(f"gemma{i}", tensors, model_type="gemma", **config), "surrogate=half")
            self.assertEqual(self.description()["gate"]["name"], gate)
        both = self.model(
            "both", tensors, model_type="gemma", hidden_act="linear", hidden_activation="gelu_pytorch_tanh"
        )
        self.assertIn("hidden_activation", self.refusal(both))
        second = {**tensors, "model.layers.0.pre_feedforward_layernorm.weight": np.zeros(8, np.float32)}
        second["model.layers.0.post_feedforward_layernorm.weight"] = np.zeros(8, np.float32)
        other = self.model("other", second, model_type="gemma2", hidden_act="linear")
        self.decompose(other, "surrogate=half")  # hidden_act is not what it reads
        self.assertEqual(self.description()["gate"]["name"], "gelu_tanh")

    def test_names_that_only_swiglu_models_have(self):
        meta = mlp(1, "layers.0.feed_forward.", ("w1", "w3", "w2"))
        lit = mlp(1, "transformer.h.0.mlp.swiglu.", ("w1", "w2", "w3"))
        for name, tensors, norm in (
            ("meta", meta, "layers.0.ffn_norm.weight"),
            ("lit", lit, "transformer.h.0.norm_2.weight"),
        ):
            gain = 1 + np.arange(8, dtype=np.float32) / 8
            file = self.file({**tensors, norm: gain}, f"{name}.safetensors")
            self.assertIn("SwiGLU", self.refusal(file))
            self.decompose(file, "surrogate=half")
            self.assert_spectrum(of_mlp(mlp(1), gain=gain) / 2)
            self.assertIn("names", self.description()["gate"]["source"])

    def test_params_json_and_llama2c_say_that_it_is_a_llama(self):
        (self.folder / "meta").mkdir()
        file = self.file(
            {**mlp(1), "model.layers.0.post_attention_layernorm.weight": np.ones(8, np.float32)}, "meta/x.safetensors"
        )
        (file.parent / "params.json").write_text(json.dumps({"dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 12}))
        self.decompose(file, "surrogate=half")
        self.assertEqual(self.description()["gate"], {"name": "silu", "source": "params.json"})
        (file.parent / "params.json").write_text(json.dumps({"dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 24}))
        self.assertIn("part", self.refusal(file, "surrogate=half"))
        published = test_data("stories260K") / "stories260K/stories260K.bin"
        self.assertIn("llama2.c", self.refusal(published))


class EarlierResults(LayersTest):
    """A decomposition that does not record where its gate came from may be wrong, and says so wherever it is opened."""

    def test_it_is_not_gone_on_with_and_whoever_opens_it_is_told(self):
        model = self.folder / "model"
        write_llama(model, layers=1)
        self.decompose(model, "k=3")
        about = self.description()
        for key in ("gate", "minus_gate", "fold_norm", "norm"):
            about.pop(key)
        (self.out / "decomposition.json").write_text(json.dumps(about))
        sets = [part for setting in ("k=3", "dtype=float64", "analyses=[]") for part in ("--set", setting)]
        self.check(run("decompose", model, "--out", self.out, *sets, "--resume"), 2, "earlier version")
        np.arange(1, 200, dtype="<u2").tofile(self.folder / "tokens.bin")
        done = run(
            "intervene",
            self.out,
            "--data",
            f"tokens:{self.folder / 'tokens.bin'}",
            "--set",
            "eigenvectors=[0]",
            "--quiet",
        )
        self.check(done, 0, "earlier version")


class PaperClassifiers(LayersTest):
    """Checkpoints of the papers' code without their config.json."""

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(0)
        draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)
        self.path = self.file({"embed.weight": draw(8, 16), "blocks.0.weight": draw(24, 8), "head.weight": draw(3, 12)})

    def test_they_are_asked_about_too(self):
        self.assertIn("--gate none", self.refusal(self.path))
        self.decompose(self.path, "gate=none")
        done = self.check(run("convert", self.path, self.folder / "ours"), 3)
        self.assertIn(f"bilens convert {self.path} {self.folder / 'ours'} --gate none", done.stderr)
        self.check(run("convert", self.path, self.folder / "ours", "--gate", "glu"), 2, "gelu")


if __name__ == "__main__":
    unittest.main()
