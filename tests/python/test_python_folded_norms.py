"""bilens.mlps(model, fold_norm=True) against the models of transformers, and where the norm is not known."""

import copy
import pickle
import unittest

import torch
import transformers

from python_package import bilens

SIZES = dict(vocab_size=97, hidden_size=16, intermediate_size=24, num_hidden_layers=3)
HEADS = dict(num_attention_heads=2, num_key_value_heads=2, pad_token_id=0)


def model_of(kind, **more):
    """With gains, and biases of norms, that are far from 1 and 0."""
    torch.manual_seed(0)
    config = getattr(transformers, kind + "Config")(**SIZES, **HEADS, **more)
    model = getattr(transformers, kind + "ForCausalLM")(config).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 2)
    return model


def seen(model, norms, modules):
    """What goes into the norms and out of the modules, by layer."""
    inputs, outputs = [], []
    handles = [norm.register_forward_pre_hook(lambda _, x: inputs.append(x[0].detach())) for norm in norms]
    handles += [module.register_forward_hook(lambda *run: outputs.append(run[2].detach())) for module in modules]
    model(torch.arange(1, 12)[None])
    for handle in handles:
        handle.remove()
    return list(zip(inputs, outputs))


class AgainstModels(unittest.TestCase):
    def check(self, model, norm_name, normalise, kind, gain, behind=None):
        blocks = model.model.layers
        runs = seen(model, [getattr(block, norm_name) for block in blocks], [block.mlp for block in blocks])
        folded, plain = bilens.mlps(model, fold_norm=True), bilens.mlps(model)
        self.assertEqual([layer.name for layer in folded], [layer.name for layer in plain])
        for layer, block, (h, y) in zip(folded, blocks, runs):
            if behind:
                y = y * (1 + getattr(block, behind).weight.detach())
            torch.testing.assert_close(layer(normalise(h)), y, rtol=1e-5, atol=1e-7)
            self.assertEqual(layer.norm["kind"], kind)
            self.assertEqual(layer.norm["gain"], gain)
            self.assertEqual(layer.norm["before"], norm_name)
        for layer in plain:
            self.assertIsNone(layer.norm)
        other = pickle.loads(pickle.dumps(folded[0]))
        self.assertEqual(other.norm, folded[0].norm)
        return folded

    def test_rms(self):
        for kind, more in (("Llama", {}), ("Llama", {"mlp_bias": True}), ("Qwen2", {}), ("Mistral", {})):
            with self.subTest(kind, **more):
                model = model_of(kind, **more)
                self.check(
                    model,
                    "post_attention_layernorm",
                    lambda h: h / (h.square().mean(-1, keepdim=True) + model.config.rms_norm_eps).sqrt(),
                    "rms",
                    "w",
                )

    def test_gains_of_1_plus_w(self):
        model = model_of("Gemma", head_dim=8)
        rms = lambda h: h / (h.square().mean(-1, keepdim=True) + model.config.rms_norm_eps).sqrt()
        self.check(model, "post_attention_layernorm", rms, "rms", "1 + w")

    def test_a_norm_behind_too(self):
        model = model_of("Gemma2", head_dim=8)
        rms = lambda h: h / (h.square().mean(-1, keepdim=True) + model.config.rms_norm_eps).sqrt()
        self.check(model, "pre_feedforward_layernorm", rms, "rms", "1 + w", behind="post_feedforward_layernorm")

    def test_layer_norm_with_its_bias(self):
        model = model_of("StableLm")

        def normalise(h):
            centred = h - h.mean(-1, keepdim=True)
            return centred / (centred.square().mean(-1, keepdim=True) + model.config.layer_norm_eps).sqrt()

        folded = self.check(model, "post_attention_layernorm", normalise, "layer", "w")
        self.assertIsNotNone(folded[0].b_gate)

    def test_what_is_decomposed_is_the_folded_layer(self):
        model = model_of("Llama", hidden_act="linear")
        layer = bilens.mlps(model, fold_norm=True)[1]
        self.assertEqual(layer.activation, "none")
        found = bilens.decompose(model, layers=[1], k=16, dtype="float64").layers[1]
        form = layer.Q(torch.eye(16, dtype=torch.float64)[3])
        vectors = found.eigenvectors[3]
        torch.testing.assert_close(vectors.T @ torch.diag(found.eigenvalues[3]) @ vectors, form)

    def test_without_folding_the_model_is_seen_and_with_it_copied(self):
        model = model_of("Llama")
        state = copy.deepcopy(model.state_dict())
        layer = bilens.mlps(model, fold_norm=True)[0]
        layer.W_gate.zero_()
        for name, tensor in model.state_dict().items():
            self.assertTrue(torch.equal(tensor, state[name]), name)


class Block(torch.nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.mlp_norm = norm
        self.mlp = bilens.nn.BilinearMLP(8, 12)


class Unknown(unittest.TestCase):
    def test_a_norm_that_is_not_known_is_refused(self):
        for norm in (torch.nn.LayerNorm(8), torch.nn.RMSNorm(8)):
            stack = torch.nn.ModuleDict({"layers": torch.nn.ModuleList(Block(norm) for _ in range(2))})
            with self.assertRaisesRegex(bilens.InputError, "norm"):
                bilens.mlps(stack, fold_norm=True)
            self.assertEqual(len(bilens.mlps(stack)), 2)

    def test_no_norm(self):
        stack = torch.nn.Sequential(bilens.nn.BilinearMLP(8, 12), bilens.nn.BilinearMLP(8, 12))
        for layer, plain in zip(bilens.mlps(stack, fold_norm=True), bilens.mlps(stack)):
            self.assertIsNone(layer.norm)
            self.assertTrue(torch.equal(layer.W_gate, plain.W_gate))


if __name__ == "__main__":
    unittest.main()
