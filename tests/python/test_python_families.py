"""What the package does with models of each family in memory: the sums of bilens.explain,
bilens.intervene beside hooks, and bilens.convert."""

import pathlib
import tempfile
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
    "Phi3": {"partial_rotary_factor": 0.5, "pad_token_id": None},
    "Olmo2": {"pad_token_id": None},
    "Gemma": {"head_dim": 8},
    "Gemma2": {"head_dim": 8, "sliding_window": 4, "query_pre_attn_scalar": 5, "final_logit_softcapping": 4.0},
    "Gemma3Text": {"head_dim": 8, "sliding_window": 4, "sliding_window_pattern": 2},
}
READS_ACTIVATION = ("Gemma2", "Gemma3Text")  # which pass hidden_act over
NORM_BEHIND = ("Olmo2", "Gemma2", "Gemma3Text")
IDS = [5, 7, 11, 3, 60, 9, 14]


def key_of(family):
    return "hidden_activation" if family in READS_ACTIVATION else "hidden_act"


def model_of(family, **more):
    torch.manual_seed(0)
    config = getattr(transformers, family + "Config")(**{**SIZES, **HEADS, **KEYS[family], **more})
    causal = getattr(transformers, family.removesuffix("Text") + "ForCausalLM")
    model = causal._from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:  # gains, which begin as 1 or 0
                weight.add_(0.3 * torch.randn_like(weight))
    return model


def uncapped_logits(model, ids):
    """In float64; in front of the cap, where the model has one."""
    with torch.no_grad():
        logits = model.double()(torch.tensor([ids])).logits[0, -1]
    cap = getattr(model.config, "final_logit_softcapping", None)
    return cap * torch.atanh(logits / cap) if cap else logits


class Families(unittest.TestCase):
    def test_explanations_add_up_to_what_the_model_computes(self):
        for family in KEYS:
            for act, surrogate in (("linear", None), ("silu", "half")):
                with self.subTest(family=family, act=act):
                    model = model_of(family, **{key_of(family): act})
                    found = bilens.explain(model, IDS, 4, 8, surrogate=surrogate)
                    logits = uncapped_logits(model, IDS)
                    expected = float(logits[4] - logits[8])
                    # Float32 in three layers against float64, of parts of order 1.
                    self.assertAlmostEqual(found.sum, expected, delta=1e-4)
                    self.assertAlmostEqual(found.logit, expected, delta=1e-4)

    def converted(self, model, **stage):
        """By `calibrate`, with the loss of the module on the test part as the account has it."""
        tokens = torch.randint(3, 61, (900,), generator=torch.Generator().manual_seed(0))
        stages, settings = [{"kind": "calibrate", **stage}], {"packing": "plain"}
        found = bilens.convert(model, tokens, stages=stages, context=16, data=settings, threads=1)
        windows = [window for window in tokens[-45:].split(16) if len(window) > 1]  # the last 5%
        total = sum(
            torch.nn.functional.cross_entropy(found(window[None]).logits[0, :-1].double(), window[1:]).item()
            * (len(window) - 1)
            for window in windows
        )
        count = sum(len(window) - 1 for window in windows)
        self.assertAlmostEqual(total / count, found.conversion["test"]["loss"], delta=1e-5)
        return found

    def test_some_layers_become_bilinear(self):
        for family in KEYS:
            with self.subTest(family):
                found = self.converted(model_of(family), layers=[0, 2])
                self.assertEqual(getattr(found.config, key_of(family)), "by_layer")
                gated = "gelu_tanh" if family.startswith("Gemma") else "silu"
                self.assertEqual([mlp.activation for mlp in bilens.mlps(found)], ["none", gated, "none"])
                self.assertEqual(list(bilens.decompose(found, k=1).layers), [0, 2])

    def test_what_the_layers_lose_without_an_eigenvector(self):
        """`bilens intervene` on a model directory beside hooks on the module."""
        window, count = 16, 6
        ids = torch.randint(3, 61, (count * window,), generator=torch.Generator().manual_seed(1))
        for family in KEYS:
            with self.subTest(family), tempfile.TemporaryDirectory(prefix="bilens-families-") as name:
                folder = pathlib.Path(name)
                model = model_of(family, **{key_of(family): "linear"})
                model.save_pretrained(folder / "model")
                (folder / "tokens.bin").write_bytes(ids.numpy().astype("<u2").tobytes())
                data = {"dataset": "tokens", "path": str(folder / "tokens.bin"), "context": window, "split": "all"}
                rows = torch.randn(1, SIZES["hidden_size"], generator=torch.Generator().manual_seed(3))
                written = bilens.decompose(
                    folder / "model",
                    layers=[1],
                    k=4,
                    directions=rows,
                    fold_norm=family not in NORM_BEHIND,  # where hooks change the MLP's own output
                    out=folder / "found",
                    analyses=[],
                )
                job = bilens.intervene(
                    folder / "found",
                    layer=1,
                    eigenvectors=[0, 1],
                    tokens=count * window,
                    data={**data, "packing": "plain"},
                    intervention={"change": "zero", "controls": 1},
                    threads=1,
                )
                windows = ids.view(count, window)

                def loss():
                    logits = model(windows[:, :-1]).logits.double()
                    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()).item()

                with torch.no_grad():
                    plain = loss()
                    with bilens.ablate(model, written, layer=1, eigenvectors=[0, 1], how="zero"):
                        changed = loss()
                self.assertGreater(abs(changed - plain), 1e-4)
                self.assertAlmostEqual(job["loss"], plain, delta=1e-5)
                self.assertAlmostEqual(job["effects"][0]["loss"]["mean"], changed - plain, delta=1e-5)

    def test_layers_agree_with_the_model(self):
        """Phi-3's gate and up are one module, whose halves are views; its MLP alone is decomposed by its structure."""
        for family in KEYS:
            with self.subTest(family):
                model = model_of(family)
                for layer, mlp in zip(model.model.layers, bilens.mlps(model), strict=True):
                    x = torch.randn(5, mlp.d_model, generator=torch.Generator().manual_seed(2))
                    torch.testing.assert_close(mlp(x), layer.mlp(x).detach(), rtol=1e-5, atol=1e-6)
                    fused = getattr(layer.mlp, "gate_up_proj", None)
                    if fused is not None:
                        self.assertEqual(mlp.W_gate.data_ptr(), fused.weight.data_ptr())
                alone = bilens.decompose(model.model.layers[1].mlp, k=2, surrogate="half", dtype="float64")
                whole = bilens.decompose(
                    model, layers=[1], k=2, surrogate="half", dtype="float64", fold_norm=False, directions="axes"
                )
                torch.testing.assert_close(
                    alone.layers[0].eigenvalues, whole.layers[1].eigenvalues, rtol=1e-9, atol=1e-12
                )

    def test_calibrated_surrogates_and_conversions(self):
        for family in KEYS:
            with self.subTest(family):
                model = model_of(family)
                found = self.converted(model)
                self.assertEqual(getattr(found.config, key_of(family)), "linear")


if __name__ == "__main__":
    unittest.main()
