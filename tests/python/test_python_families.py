"""What the package does with models of each family in memory: the sums of bilens.explain, and bilens.convert."""

import unittest

import torch
import transformers

from python_package import bilens

SIZES = dict(vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=3, max_position_embeddings=32)
HEADS = dict(num_attention_heads=2, num_key_value_heads=2, initializer_range=0.3, eos_token_id=2)
KEYS = {
    "Mistral": {"sliding_window": 4},
    "Qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "Qwen3": {"head_dim": 6},
    "SmolLM3": {"no_rope_layer_interval": 2, "bos_token_id": None, "pad_token_id": None},
}
IDS = [5, 7, 11, 3, 60, 9, 14]


def model_of(family, **more):
    torch.manual_seed(0)
    config = getattr(transformers, family + "Config")(**{**SIZES, **HEADS, **KEYS[family], **more})
    return getattr(transformers, family + "ForCausalLM")._from_config(config, attn_implementation="eager").eval()


class Families(unittest.TestCase):
    def test_explanations_add_up_to_what_the_model_computes(self):
        for family in KEYS:
            for act, surrogate in (("linear", None), ("silu", "half")):
                with self.subTest(family=family, act=act):
                    model = model_of(family, hidden_act=act)
                    found = bilens.explain(model, IDS, 4, 8, surrogate=surrogate)
                    with torch.no_grad():
                        logits = model.double()(torch.tensor([IDS])).logits[0, -1]
                    expected = float(logits[4] - logits[8])
                    # Float32 in three layers against float64, of parts of order 1.
                    self.assertAlmostEqual(found.sum, expected, delta=1e-4)
                    self.assertAlmostEqual(found.logit, expected, delta=1e-4)

    def test_calibrated_surrogates_and_conversions(self):
        tokens = torch.randint(3, 61, (900,), generator=torch.Generator().manual_seed(0))
        for family in KEYS:
            with self.subTest(family):
                model = model_of(family)
                settings = {"packing": "plain"}
                found = bilens.convert(model, tokens, stages=["calibrate"], context=16, data=settings, threads=1)
                self.assertEqual(found.config.hidden_act, "linear")
                test = tokens[-45:]  # the last 5%
                windows = [window for window in test.split(16) if len(window) > 1]
                total = sum(
                    torch.nn.functional.cross_entropy(found(window[None]).logits[0, :-1].double(), window[1:]).item()
                    * (len(window) - 1)
                    for window in windows
                )
                count = sum(len(window) - 1 for window in windows)
                self.assertAlmostEqual(total / count, found.conversion["test"]["loss"], delta=1e-5)


if __name__ == "__main__":
    unittest.main()
