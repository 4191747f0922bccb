"""A part of a model is never taken for the whole."""

import unittest

import numpy as np
from safetensors.numpy import save_file

from layers import LayersTest, draw, mlp, of_mlp

BASE = "model.layers.0.mlp."


class PartialWeights(LayersTest):
    def refused(self, tensors, *words, settings=("gate=none",)):
        message = self.refusal(self.file(tensors), *settings)
        for word in words:
            self.assertIn(word, message)
        return message

    def test_one_of_several_model_parallel_files(self):
        names = ("w1", "w3", "w2")
        whole = mlp(1, "layers.0.feed_forward.", names)
        for i in (0, 1):
            save_file(
                {
                    name: np.ascontiguousarray(np.split(t, 2, 1 if ".w2." in name else 0)[i])
                    for name, t in whole.items()
                },
                self.folder / f"consolidated.0{i}.safetensors",
            )
        for i in (0, 1):
            self.assertIn(
                "model-parallel", self.refusal(self.folder / f"consolidated.0{i}.safetensors", "surrogate=half")
            )
        (self.folder / "consolidated.00.safetensors").unlink()
        self.assertIn("model-parallel", self.refusal(self.folder / "consolidated.01.safetensors", "surrogate=half"))

    def test_widths_and_layers_that_the_config_has_more_of(self):
        norms = {f"model.layers.{i}.post_attention_layernorm.weight": np.ones(8, np.float32) for i in (0, 1)}
        for key, value in (("intermediate_size", 24), ("hidden_size", 16), ("num_hidden_layers", 2)):
            folder = self.model(key, {**mlp(1), **norms}, model_type="mistral", hidden_act="linear", **{key: value})
            self.assertIn(key, self.refusal(folder))
        both = self.model(
            "both",
            {**mlp(1), **mlp(5, "model.layers.1.mlp."), **norms},
            model_type="mistral",
            hidden_act="linear",
            num_hidden_layers=2,
            hidden_size=8,
            intermediate_size=12,
        )
        self.decompose(both)

    def test_adapters_beside_their_base(self):
        for name in (
            "gate_proj.lora_A.default.weight",
            "up_proj.lora_B.weight",
            "down_proj.lora_magnitude_vector",
            "gate_proj.ia3_l",
        ):
            self.refused({**mlp(1), BASE + name: draw(5, 2, 8)}, name, "Merge")
        wrapped = {name.replace("_proj.", "_proj.base_layer."): t for name, t in mlp(5, "model.layers.1.mlp.").items()}
        self.refused({**mlp(1), **wrapped}, "base_layer", "Merge")

    def test_codes_of_a_quantiser(self):
        codes = {name: np.rint(t * 20).astype(np.int8) for name, t in mlp(1).items()}
        self.refused(codes, "bfloat16")
        self.refused({**codes, BASE + "gate_proj.SCB": draw(1, 12)}, "SCB")
        self.refused({**mlp(1), BASE + "up_proj.weight_scale": draw(1, 12)}, "weight_scale")
        named = [f"weights.{part}={BASE}{part}_proj.weight" for part in ("gate", "up", "down")]
        self.refused(codes, "bfloat16", settings=("gate=none", *named))

    def test_a_down_matrix_that_is_not_there(self):
        half = {name: t for name, t in mlp(1).items() if "down" not in name}
        self.refused(half, "weights.down=identity")
        self.decompose(self.file(half), "gate=none", "weights.down=identity")
        gate, up = (t.astype(float) for t in half.values())
        values = self.layer()["eigenvalues"]
        self.assertEqual(values.shape, (12, 8))
        q = np.outer(gate[3], up[3])
        np.testing.assert_allclose(np.sort(values[3]), np.sort(np.linalg.eigvalsh((q + q.T) / 2)), atol=1e-12)

    def test_experts(self):
        experts = {}
        for layer in (0, 1):
            for expert in (0, 1):
                experts |= mlp(10 * layer + expert, f"model.layers.{layer}.mlp.experts.{expert}.")
        self.refused(experts, "experts")
        one = "model.layers.{layer}.mlp.experts.1."
        self.decompose(
            self.file(experts),
            "gate=none",
            *(f"weights.{part}={one}{part}_proj.weight" for part in ("gate", "up", "down")),
        )
        for layer in (0, 1):
            self.assert_spectrum(of_mlp(experts, one.format(layer=layer)), layer)
        self.refused({**mlp(1), **mlp(5, "model.layers.1.mlp.shared_expert.")}, "shared_expert")
        self.refused({**mlp(1), "model.layers.1.mlp.experts.gate_up_proj": draw(1, 2, 8, 24)}, "experts.gate_up_proj")
        self.refused({**mlp(1), "model.layers.0.mlp.gate.weight": draw(1, 4, 8)}, "mlp.gate.weight")
        self.refused(mlp(1, "model.layers.0.block_sparse_moe.experts.0.", ("w1", "w3", "w2")), "experts")

    def test_two_stacks_in_one_file(self):
        tower = mlp(5, "visual.blocks.0.mlp.")
        words = self.refused(
            {**mlp(1), **tower}, "visual.blocks.{layer}.mlp.gate_proj.weight", "model.layers.{layer}.mlp.up_proj.weight"
        )
        self.assertIn("weights.down=visual.blocks.{layer}.mlp.down_proj.weight", words)
        self.decompose(
            self.file({**mlp(1), **tower}),
            "gate=none",
            *(f"weights.{part}=visual.blocks.{{layer}}.mlp.{part}_proj.weight" for part in ("gate", "up", "down")),
        )
        self.assert_spectrum(of_mlp(tower, "visual.blocks.0.mlp."))

    def test_a_tower_is_not_what_the_text_config_says(self):
        tower = mlp(5, "visual.blocks.0.mlp.")
        folder = self.model(
            "both",
            {**mlp(1), **tower},
            model_type="qwen2_vl",
            text_config={"model_type": "qwen2", "hidden_act": "linear"},
            vision_config={"hidden_act": "silu"},
        )
        named = lambda stack: [
            f"weights.{part}={stack}.{{layer}}.mlp.{part}_proj.weight" for part in ("gate", "up", "down")
        ]
        self.decompose(folder, *named("model.layers"))
        self.assert_spectrum(of_mlp(mlp(1)))
        self.assertIn("--gate none", self.refusal(folder, *named("visual.blocks")))

    def test_a_norm_between_the_matrices(self):
        self.refused({**mlp(1), BASE + "ffn_sub_norm.weight": draw(1, 12)}, "ffn_sub_norm")

    def test_decompose_checks_a_llama_as_evaluate_does(self):
        config = dict(
            model_type="llama",
            hidden_act="linear",
            vocab_size=9,
            hidden_size=8,
            intermediate_size=12,
            num_hidden_layers=1,
            num_attention_heads=2,
        )
        norm = {"model.layers.0.post_attention_layernorm.weight": np.ones(8, np.float32)}
        folder = self.model("incomplete", {**mlp(1), **norm}, **config)
        self.assertIn("model.embed_tokens.weight", self.refusal(folder))


if __name__ == "__main__":
    unittest.main()
