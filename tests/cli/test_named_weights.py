"""Layers whose tensors the user names: biases, norms, ends, and whole stacks by one pattern."""

import unittest

import numpy as np

from layers import LayersTest, draw, mlp, spectrum

STACK = (
    "weights.gate=blocks.{layer}.mlp.w_m.weight",
    "weights.up=blocks.{layer}.mlp.v_m.weight",
    "weights.down=blocks.{layer}.mlp.p_m.weight",
    "gate=none",
)


class NamedWeights(LayersTest):
    def stack(self, layers=(0, 2, 11), bias=False):
        tensors = {}
        for layer in layers:
            prefix = f"blocks.{layer}.mlp."
            tensors |= mlp(10 * layer + 1, prefix, ("w_m", "v_m", "p_m"))
            if bias:
                tensors |= {
                    f"{prefix}{name}.bias": draw(10 * layer + 50 + i, 8 if name == "p_m" else 12)
                    for i, name in enumerate(("w_m", "v_m", "p_m"))
                }
        return tensors

    def matrices(self, tensors, layer):
        return [tensors[f"blocks.{layer}.mlp.{name}.weight"].astype(float) for name in ("w_m", "v_m", "p_m")]

    def test_a_pattern_names_every_layer(self):
        tensors = self.stack()
        self.decompose(self.file(tensors), *STACK)
        self.assertEqual([layer["layer"] for layer in self.description()["layers"]], [0, 2, 11])
        for layer in (0, 2, 11):
            self.assert_spectrum(spectrum(*self.matrices(tensors, layer)), layer)
        self.assertIn(
            "{layer}",
            self.refusal(self.file(tensors), *STACK[:2], "weights.down=blocks.0.mlp.p_m.weight", "gate=none", expect=2),
        )
        self.assertIn("none", self.refusal(self.file(tensors), *(s.replace("blocks", "block") for s in STACK)))

    def test_one_layer_has_the_number_in_its_name(self):
        self.decompose(self.file(self.stack()), *(s.replace("{layer}", "11") for s in STACK))
        self.assertEqual([layer["layer"] for layer in self.description()["layers"]], [11])

    def test_biases_beside_the_matrices_are_taken(self):
        tensors = self.stack((0,), bias=True)
        self.decompose(self.file(tensors), *STACK)
        self.check_forms(
            self.matrices(tensors, 0),
            *(tensors[f"blocks.0.mlp.{name}.bias"].astype(float) for name in ("w_m", "v_m", "p_m")),
        )

    def test_biases_can_be_named(self):
        tensors = {
            **self.stack((0,)),
            "blocks.0.one": draw(90, 12),
            "blocks.0.two": draw(91, 24),
            "blocks.0.three": draw(92, 8),
        }
        self.decompose(
            self.file(tensors),
            *STACK,
            "weights.gate_bias=blocks.{layer}.one",
            "weights.up_bias=blocks.{layer}.two[12:24]",
            "weights.down_bias=blocks.{layer}.three",
        )
        self.check_forms(
            self.matrices(tensors, 0),
            tensors["blocks.0.one"].astype(float),
            tensors["blocks.0.two"][12:].astype(float),
            tensors["blocks.0.three"].astype(float),
        )

    def check_forms(self, matrices, b, c, p):
        """The form of every output on random inputs, rebuilt from what was written, is the layer."""
        w, v, down = matrices
        found = self.layer()
        x = draw(70, 5, 8).astype(float)
        y = ((x @ w.T + b) * (x @ v.T + c)) @ down.T + p
        rebuilt = np.einsum("uk,nuk->nu", found["eigenvalues"], np.einsum("ni,uki->nuk", x, found["eigenvectors"]) ** 2)
        np.testing.assert_allclose(rebuilt + x @ found["linear"].T + found["constant"], y, atol=1e-11)

    def test_packed_and_transposed_biases(self):
        gate, up, down = mlp(1).values()
        bias = draw(60, 24)
        tensors = {
            "blocks.0.weight": np.concatenate([gate, up]),
            "blocks.0.bias": bias,
            "out": down.T,
            "W_in": gate.T,
            "b_in": bias[:12],
            "W_gate": up.T,
            "W_out": down.T,
            "b_out": draw(61, 8),
        }
        self.decompose(
            self.file(tensors),
            "weights.gate=blocks.0.weight[0:12]",
            "weights.up=blocks.0.weight[12:24]",
            "weights.down=out.T",
            "gate=none",
        )
        self.check_forms((gate, up, down), bias[:12], bias[12:], 0)
        self.decompose(
            self.file(tensors), "weights.gate=W_gate.T", "weights.up=W_in.T", "weights.down=W_out.T", "gate=none"
        )
        self.check_forms((up, gate, down), 0, bias[:12], tensors["b_out"])

    def test_the_down_matrix_or_a_word_that_there_is_none(self):
        file = self.file(self.stack((0,)))
        self.assertIn("weights.down=identity", self.refusal(file, *STACK[:2], "gate=none", expect=2))
        self.decompose(file, *STACK[:2], "weights.down=identity", "gate=none")
        gate, up, _ = self.matrices(self.stack((0,)), 0)
        self.assert_spectrum(spectrum(gate, up, np.eye(12)))

    def test_norm_embedding_head_and_the_norm_before_it(self):
        tensors = self.stack((0, 1))
        tensors |= {
            "blocks.0.ln.weight": 1 + draw(80, 8) / 4,
            "blocks.1.ln.weight": 1 + draw(81, 8) / 4,
            "in.weight": draw(82, 8, 5),
            "out.weight": draw(83, 3, 8),
            "last.weight": draw(84, 8) / 4,
        }
        file = self.file(tensors)
        self.assertIn("weights.norm", self.refusal(file, *STACK))
        self.decompose(file, *STACK, "weights.norm=blocks.{layer}.ln.weight")
        for layer in (0, 1):
            self.assert_spectrum(
                spectrum(*self.matrices(tensors, layer), gain=tensors[f"blocks.{layer}.ln.weight"].astype(float)), layer
            )
        self.assertTrue(self.description()["fold_norm"])
        ends = (
            "weights.embed=in.weight",
            "weights.head=out.weight",
            "weights.final_norm=last.weight",
            "fold_norm=false",
            "center=none",
        )
        self.decompose(file, *STACK, *ends)
        w, v, p = self.matrices(tensors, 0)
        self.assert_spectrum(spectrum(w @ tensors["in.weight"], v @ tensors["in.weight"], p))
        w, v, p = self.matrices(tensors, 1)
        self.assert_spectrum(spectrum(w, v, (tensors["out.weight"].astype(float) * tensors["last.weight"]) @ p), 1)
        self.decompose(file, *STACK, *ends, "weights.norm_gain=1+w")
        self.assert_spectrum(
            spectrum(w, v, (tensors["out.weight"].astype(float) * (1 + tensors["last.weight"].astype(float))) @ p), 1
        )


if __name__ == "__main__":
    unittest.main()
