"""`mean_energy_share` is n‖Q̄‖²/Σ‖Q_u‖² of the directions that are decomposed, over the space of decomposition."""

import unittest

import numpy as np

from classifiers import write_model
from decompositions import DecompositionTest
from language_models import interaction_matrix, unembedding, write_llama


def share(matrices):
    matrices = np.array(matrices)
    return len(matrices) * (matrices.mean(0) ** 2).sum() / (matrices**2).sum()


class MeanEnergyShare(DecompositionTest):
    def stated(self):
        return self.description()["layers"][0]["mean_energy_share"]

    def test_it_follows_the_input_space(self):
        _, w = write_model(self.model, d_model=12, d_hidden=9, down_proj=True)
        for space in ("input", "model"):
            self.decompose("--set", "analyses=[]", "--set", f"input_space={space}")
            gate, up = (
                w[f"layers.0.mlp.{name}_proj.weight"] @ (w["embed.weight"] if space == "input" else np.eye(12))
                for name in ("gate", "up")
            )
            q = [gate.T @ (s[:, None] * up) for s in w["head.weight"] @ w["layers.0.mlp.down_proj.weight"]]
            self.assertAlmostEqual(self.stated(), share([(x + x.T) / 2 for x in q]), delta=1e-10)

    def test_few_tokens_have_a_mean_of_their_own(self):
        """Two tokens far from what the vocabulary has in common: against its mean the share would be no share."""
        w = write_llama(self.model)
        for traceless in (False, True):
            for ids in ([5, 7], [5]):
                self.decompose(
                    "--set",
                    "analyses=[]",
                    "--set",
                    "energy=exact",
                    "--set",
                    f"traceless={str(traceless).lower()}",
                    directions={"kind": "unembedding", "tokens": ids},
                )
                q = np.array([interaction_matrix(w, 0, u) for u in unembedding(w, centred=False)[ids]])
                if traceless:
                    q = q - np.trace(q, axis1=1, axis2=2)[:, None, None] / 16 * np.eye(16)
                self.assertAlmostEqual(self.stated(), share(q), delta=1e-10)
                self.assertLessEqual(self.stated(), 1)


if __name__ == "__main__":
    unittest.main()
