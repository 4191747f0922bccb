"""Modules whose weights are computed when they run, or that are parts of a model: decomposed as they compute, or
refused in words that say what they are."""

import copy
import unittest

import torch
import torch.nn.utils.parametrizations
import torch.nn.utils.prune

from python_package import bilens


def mlp(seed=0, **more):
    torch.manual_seed(seed)
    return bilens.nn.BilinearMLP(8, 12, **more)


def pruned():
    module = mlp(bias=True)
    for part in (module.gate_proj, module.down_proj):
        torch.nn.utils.prune.l1_unstructured(part, "weight", 0.5)
    torch.nn.utils.prune.l1_unstructured(module.up_proj, "bias", 3)
    with torch.no_grad():  # a step of training; the module itself multiplies by the mask when it runs
        module.gate_proj.weight_orig.mul_(3)
    return module


def parametrized():
    module = mlp()
    torch.nn.utils.parametrizations.weight_norm(module.gate_proj)
    torch.nn.utils.parametrizations.orthogonal(module.up_proj)
    torch.nn.utils.parametrizations.spectral_norm(module.down_proj)
    with torch.no_grad():
        module.gate_proj.parametrizations.weight.original0.mul_(2)
    return module


class Computed(unittest.TestCase):
    def check(self, module):
        state = copy.deepcopy(module.state_dict())
        modes = [inner.training for inner in module.modules()]
        whole = bilens.decompose(module, k=8, dtype="float64").layers[0]
        (layer,) = bilens.mlps(module)
        self.assertEqual([inner.training for inner in module.modules()], modes)
        for name, tensor in module.state_dict().items():
            self.assertTrue(torch.equal(tensor, state[name]), name)
        module.eval()
        x = torch.randn(30, 8)
        y = module(x).detach().double()
        torch.testing.assert_close(layer(x).double(), y, rtol=0, atol=1e-5)
        torch.testing.assert_close(whole.truncate(8)(x), y, rtol=0, atol=1e-5)

    def test_pruned(self):
        self.check(pruned())

    def test_parametrized(self):
        self.check(parametrized())

    def test_in_a_stack(self):
        stack = torch.nn.Sequential(pruned(), mlp(1, bias=True))
        found = bilens.decompose(stack, k=2)
        self.assertTrue(torch.equal(found.layers[0].eigenvalues, bilens.decompose(pruned(), k=2).eigenvalues))

    def test_ablated(self):
        module = pruned()
        d = bilens.decompose(module, k=8)
        x = torch.randn(3, 8)
        plain = module(x)
        with bilens.ablate(module, d, direction=2, eigenvectors=range(8), how="zero"):
            changed = module(x)
        moved = (plain - changed).detach()
        self.assertEqual(moved.abs().amax(0).nonzero().tolist(), [[2]])

    def test_hooks_of_others_are_refused(self):
        module = mlp()
        module.gate_proj.register_forward_pre_hook(lambda *_: None)
        with self.assertRaisesRegex(bilens.InputError, "plain torch.nn.Linear, found Linear with hooks"):
            bilens.decompose(module)


class WithoutDown(unittest.TestCase):
    def test_a_module(self):
        torch.manual_seed(0)
        module = bilens.nn.BilinearMLP(8, 8, down_proj=False)
        found = bilens.decompose(module, k=8, dtype="float64")
        x = torch.randn(5, 8)
        y = module(x).detach().double()
        torch.testing.assert_close(found.layers[0].truncate(8)(x), y, rtol=0, atol=1e-5)
        (layer,) = bilens.mlps(module)
        torch.testing.assert_close(layer(x).double(), y, rtol=0, atol=1e-5)
        stack = torch.nn.Sequential(module, bilens.nn.BilinearMLP(8, 8, down_proj=False))
        self.assertEqual(len(bilens.decompose(stack, k=1)), 2)

    def test_under_other_names(self):
        class Named(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.w1, self.w3, self.w2 = torch.nn.Linear(4, 6), torch.nn.Linear(4, 6), None

        module = Named()
        found = bilens.decompose(module, activation="none", k=1)
        expected = bilens.decompose(
            module.w1.weight, module.w3.weight, gate_bias=module.w1.bias, up_bias=module.w3.bias, k=1
        )
        self.assertTrue(torch.equal(found.eigenvalues, expected.eigenvalues))


class Adapters(unittest.TestCase):
    def test_pefts(self):
        Lora = type("Linear", (torch.nn.Linear,), {"__module__": "peft.tuners.lora.layer"})
        module = mlp()
        module.gate_proj = Lora(8, 12)
        for call in (bilens.decompose, bilens.mlps):
            with self.assertRaisesRegex(bilens.InputError, r"gate_proj: .*without adapters.*merge_and_unload"):
                call(module)


class Headless(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            import transformers
        except ImportError:
            raise unittest.SkipTest("no transformers") from None
        torch.manual_seed(0)
        sizes = dict(vocab_size=97, hidden_size=16, intermediate_size=24, num_hidden_layers=2)
        config = transformers.LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=2)
        cls.whole = transformers.LlamaForCausalLM(config)
        with torch.no_grad():
            for layer in cls.whole.model.layers:
                layer.post_attention_layernorm.weight.uniform_(0.5, 2)

    def test_its_layers_are_those_of_the_whole(self):
        whole = bilens.decompose(self.whole, surrogate="half", k=3)
        body = bilens.decompose(self.whole.model, surrogate="half", k=3)
        for number in (0, 1):
            for name, tensor in whole.layers[number].tensors.items():
                if name != "effective_rank":
                    self.assertTrue(torch.equal(body.layers[number].tensors[name], tensor), name)
        self.assertEqual(body.info["norm"], whole.info["norm"])

    def test_tokens_need_the_head(self):
        with self.assertRaisesRegex(bilens.InputError, "with its head.*AutoModelForCausalLM"):
            bilens.decompose(self.whole.model, surrogate="half", k=1, directions={"plus": [3], "minus": [4]})


if __name__ == "__main__":
    unittest.main()
