"""What `bilens convert` writes of a model of LitGPT, in transformers: the logits are those of LitGPT's forward pass.
Needs what scripts/setup.sh --bench installs; skipped without, an error with BILENS_REQUIRE_PEERS=1."""

import unittest

from bilens_cli import TestCase, run
from peer_packages import require_transformers

SAME = 1e-5  # of logits by the largest of them, float32 against float64


class LitGpt(TestCase):
    @classmethod
    def setUpClass(cls):
        require_transformers()
        super().setUpClass()

    def test_logits_are_the_same(self):
        import torch
        from transformers import AutoModelForCausalLM

        from lit_models import CONFIG, interleaved, lit_logits, lit_weights, yaml_of

        angles = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_seq_len": 32}
        changes = {
            "LlamaForCausalLM": {"rope_adjustments": angles, "rope_base": 500},
            "Qwen2ForCausalLM": {"attn_bias": True},
            "Qwen3ForCausalLM": {"norm_qk": True},
            "MistralForCausalLM": {"sliding_window_size": 5},
        }
        tokens = torch.randint(0, 40, (30,), generator=torch.Generator().manual_seed(1))
        for name, change in changes.items():
            with self.subTest(name=name):
                config = {**CONFIG, **change}
                w = lit_weights(config)
                source = self.folder / name
                source.mkdir()
                torch.save(interleaved(w, config), source / "lit_model.pth")
                (source / "model_config.yaml").write_text(yaml_of(config))
                self.check(run("convert", source, self.folder / f"{name}.out"), 0)
                model = AutoModelForCausalLM.from_pretrained(self.folder / f"{name}.out", dtype=torch.float32).eval()
                self.assertEqual(type(model).__name__, name)
                with torch.no_grad():
                    logits = model(tokens[None]).logits[0].double()
                expected = lit_logits(w, tokens.tolist(), config)
                self.assertLess((logits - expected).abs().max() / expected.abs().max(), SAME)


if __name__ == "__main__":
    unittest.main()
