"""What stands for a layer that is not bilinear."""

import json
import unittest

import numpy as np

from decompositions import EXACT, DecompositionTest
from language_models import folded, interaction_matrix, unembedding, write_llama


class Surrogate(DecompositionTest):
    def test_a_gated_model_is_refused_unless_its_half_is_asked_for(self):
        for act in ("silu", "gelu", "relu"):
            w = write_llama(self.folder / act, act=act, bias=True)
            self.assertIn("surrogate", self.message(model=self.folder / act, expect=3))
            directions = {"kind": "random", "count": 2, "seed": 0}
            document = self.decompose(*EXACT, "--set", "surrogate=half", directions=directions, model=self.folder / act)
            found = self.layer(2)
            for u, values, vectors in zip(found["directions"], found["eigenvalues"], found["eigenvectors"]):
                q = interaction_matrix(w, 2, u, half=True)
                np.testing.assert_allclose(vectors.T @ np.diag(values) @ vectors, q, atol=1e-12 * np.linalg.norm(q))
            # The gate's bias is halved with its weight: l = ½Wᵀ(s⊙c) + Vᵀ(s⊙½b).
            tensor = lambda name: w[f"model.layers.2.mlp.{name}"]
            s = found["directions"] @ tensor("down_proj.weight")
            linear = (
                (s * tensor("up_proj.bias")) @ folded(w, 2, "gate_proj")
                + (s * tensor("gate_proj.bias")) @ folded(w, 2, "up_proj")
            ) / 2
            np.testing.assert_allclose(found["linear"], linear, atol=1e-12 * abs(linear).max())
            self.assertEqual(list(self.description())[:4], ["format", "format_version", "version", "surrogate"])
            surrogate = self.description()["surrogate"]
            self.assertEqual((surrogate["kind"], surrogate["hidden_act"]), ("half", act))
            self.assertEqual(document["results"][0]["surrogate"], surrogate)

    def test_a_bilinear_model_needs_none(self):
        w = write_llama(self.model)
        self.decompose(*EXACT, "--set", "surrogate=half", directions={"kind": "tokens", "plus": [1]})
        values = self.layer()["eigenvalues"][0]
        np.testing.assert_allclose(
            np.sort(values), np.linalg.eigvalsh(interaction_matrix(w, 0, unembedding(w)[1])), atol=1e-12
        )
        self.assertIsNone(self.description()["surrogate"])

    def test_an_activation_that_is_not_said(self):
        """Hugging Face's default is silu."""
        write_llama(self.model)
        config = json.loads((self.model / "config.json").read_text())
        del config["hidden_act"]
        (self.model / "config.json").write_text(json.dumps(config))
        self.assertIn("surrogate", self.message(expect=3))
        self.assertIn("half", self.message("--set", "surrogate=halved"))


if __name__ == "__main__":
    unittest.main()
