"""bilens.mlps and BilinearLayer against numpy, scipy, the modules themselves and the models of other libraries."""

import pathlib
import tempfile
import unittest

import numpy as np
import torch

from language_models import write_llama
from python_package import bilens, layer, reference

FOLDER = tempfile.TemporaryDirectory(prefix="bilens-python-")


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Gated(torch.nn.Module):
    def __init__(self, names, activation, bias=True, d=6, h=9):
        super().__init__()
        self.names = names
        for name, shape in zip(names, ((d, h), (d, h), (h, d))):
            setattr(self, name, torch.nn.Linear(*shape, bias=bias))
        self.act_fn = activation

    def forward(self, x):
        gate, up, down = (getattr(self, name) for name in self.names)
        return down(self.act_fn(gate(x)) * up(x))


class Found(unittest.TestCase):
    def test_by_structure(self):
        activations = {
            "silu": torch.nn.SiLU(),
            "gelu": torch.nn.GELU(),
            "gelu_tanh": torch.nn.GELU(approximate="tanh"),
            "relu": torch.nn.ReLU(),
            "none": torch.nn.Identity(),
        }
        for names in (("gate_proj", "up_proj", "down_proj"), ("w1", "w3", "w2"), ("gate", "up", "down")):
            for activation, function in activations.items():
                for bias in (False, True):
                    with self.subTest(names=names, activation=activation, bias=bias):
                        model = torch.nn.Sequential(Gated(names, function, bias), Gated(names, function, bias))
                        first, second = bilens.mlps(model)
                        self.assertEqual((first.name, second.name), ("0", "1"))
                        self.assertEqual(first.activation, activation)
                        x = draw(4, 6).float()
                        torch.testing.assert_close(second(x), model[1](x))
                        self.assertEqual(first.W_gate.data_ptr(), getattr(model[0], names[0]).weight.data_ptr())

    def test_what_is_found_is_decomposed(self):
        for names in (("gate_proj", "up_proj", "down_proj"), ("gate", "up", "down"), ("w1", "w3", "w2")):
            for activation in (torch.nn.Identity(), torch.nn.SiLU()):
                with self.subTest(names=names, activation=activation):
                    model = torch.nn.ModuleDict(
                        {"blocks": torch.nn.ModuleList(Gated(names, activation) for _ in range(3))}
                    )
                    if isinstance(activation, torch.nn.SiLU):
                        with self.assertRaisesRegex(bilens.InputError, "bilinear"):
                            bilens.decompose(model, k=6)
                        continue
                    found = bilens.decompose(model, k=6, dtype="float64", layers=[0, 2])
                    self.assertEqual(list(found.layers), [0, 2])
                    x = draw(4, 6)
                    expected = model["blocks"][2].double()(x)
                    torch.testing.assert_close(found.layers[2].truncate(6)(x), expected, rtol=0, atol=1e-6)

    def test_what_is_no_module(self):
        with self.assertRaisesRegex(bilens.UsageError, "model: expected a torch module, found str"):
            bilens.mlps("models/of/mine")

    def test_none_and_several(self):
        with self.assertRaisesRegex(bilens.InputError, "gated MLPs"):
            bilens.mlps(torch.nn.Linear(3, 3))
        with self.assertRaisesRegex(bilens.InputError, "none"):
            bilens.decompose(torch.nn.Linear(3, 3), activation="none")
        names = ("gate", "up", "down")
        mixed = torch.nn.ModuleDict({"a": Gated(names, torch.nn.Identity()), "b": Gated(names, torch.nn.Identity())})
        with self.assertRaisesRegex(bilens.UsageError, "one kind.*weights="):
            bilens.decompose(mixed)
        chosen = {role: f"b.{role}.weight" for role in names}
        self.assertEqual(len(bilens.decompose(mixed, k=1, weights=chosen, activation="none")), 1)

    def test_maps_that_are_more_than_their_weights(self):
        class Twice(torch.nn.Linear):
            def forward(self, x):
                return 2 * super().forward(x)

        names = ("gate_proj", "up_proj", "down_proj")
        other, hooked = Gated(names, torch.nn.Identity()), Gated(names, torch.nn.Identity())
        other.up_proj = Twice(6, 9)
        hooked.down_proj.register_forward_hook(lambda _, inputs, y: y + 1)
        for model, words in ((other, "up_proj.*forward of its own"), (hooked, "down_proj.*hooks")):
            for call in (bilens.mlps, bilens.decompose):
                with self.assertRaisesRegex(bilens.InputError, words):
                    call(model)

    def test_what_is_said_against_the_modules(self):
        model = Gated(("gate_proj", "up_proj", "down_proj"), torch.nn.SiLU())
        with self.assertRaisesRegex(bilens.UsageError, '"silu", as its modules say'):
            bilens.decompose(model, activation="none")

    def test_meta_and_compiled(self):
        with torch.device("meta"):
            empty = Gated(("gate", "up", "down"), torch.nn.Identity())
        for call in (bilens.mlps, bilens.decompose):
            with self.assertRaisesRegex(bilens.InputError, "meta device"):
                call(empty)
        model = Gated(("gate_proj", "up_proj", "down_proj"), torch.nn.Identity())
        plain = bilens.decompose(model, k=2).eigenvalues
        compiled = torch.compile(model)
        self.assertTrue(torch.equal(bilens.decompose(compiled, k=2).eigenvalues, plain))
        self.assertEqual(len(bilens.mlps(compiled)), 1)
        self.assertTrue(torch.equal(bilens.decompose(torch.nn.DataParallel(model), k=2).eigenvalues, plain))


class Forms(unittest.TestCase):
    def setUp(self):
        gate, matrices = layer(dtype=torch.float64)
        self.forms = np.stack(reference(gate, matrices["up"], matrices["down"]))
        self.layer = bilens.BilinearLayer(gate.T, matrices["up"].T, matrices["down"].T)

    def test_matrices(self):
        np.testing.assert_allclose(self.layer.B().numpy(), self.forms, rtol=0, atol=1e-14)
        u = draw(3, 5)
        expected = np.einsum("um,mij->uij", u.numpy(), self.forms)
        np.testing.assert_allclose(self.layer.Q(u).numpy(), expected, rtol=0, atol=1e-13)
        np.testing.assert_allclose(self.layer.Q(u[0]).numpy(), expected[0], rtol=0, atol=1e-13)
        x = draw(12)
        torch.testing.assert_close(self.layer(x), torch.from_numpy(self.forms) @ x @ x, rtol=0, atol=1e-13)

    def test_operator(self):
        try:
            from scipy.sparse.linalg import eigsh
        except ImportError:
            self.skipTest("no scipy")
        u = draw(5)
        form = np.einsum("m,mij->ij", u.numpy(), self.forms)
        operator = self.layer.operator(u)
        x = draw(12, 3).numpy()
        np.testing.assert_allclose(operator @ x, form @ x, rtol=0, atol=1e-13)
        np.testing.assert_allclose(operator @ x[:, 0], form @ x[:, 0], rtol=0, atol=1e-13)
        np.testing.assert_allclose(operator.H @ x, form @ x, rtol=0, atol=1e-13)
        values = eigsh(operator, k=3, return_eigenvectors=False)
        expected = np.linalg.eigvalsh(form)
        expected = expected[np.argsort(-abs(expected))][:3]
        np.testing.assert_allclose(np.sort(values), np.sort(expected), rtol=1e-10)

    def test_refused(self):
        with self.assertRaisesRegex(bilens.UsageError, "rows of 5 numbers"):
            self.layer.Q(draw(4))
        with self.assertRaisesRegex(bilens.UsageError, "one direction"):
            self.layer.operator(draw(2, 5))
        gated = bilens.BilinearLayer(draw(4, 6), draw(4, 6), draw(6, 4), activation="silu")
        with self.assertRaisesRegex(bilens.InputError, "bilinear layer"):
            gated.B()
        with self.assertRaisesRegex(bilens.UsageError, "activation"):
            bilens.BilinearLayer(draw(4, 6), draw(4, 6), draw(6, 4), activation="sigmoid")
        with self.assertRaisesRegex(bilens.InputError, "shape"):
            bilens.BilinearLayer(draw(4, 6), draw(5, 6), draw(6, 4))
        wide = bilens.BilinearLayer(torch.ones(40_000, 1), torch.ones(40_000, 1), torch.ones(1, 40_000))
        with self.assertRaisesRegex(bilens.ExhaustedError, "free memory"):
            wide.B()


class Words:
    """A tokenizer as those of transformers are called."""

    def __init__(self, pieces):
        self.pieces = pieces

    def __len__(self):
        return len(self.pieces)

    def convert_ids_to_tokens(self, ids):
        return [self.pieces[i] for i in ids]

    def get_vocab(self):
        return {piece: i for i, piece in enumerate(self.pieces)}

    def encode(self, text, add_special_tokens):
        assert not add_special_tokens
        word = text.replace(" ", "Ġ")
        return [self.pieces.index(word)] if word in self.pieces else [self.pieces.index(letter) for letter in word]


class OtherLibraries(unittest.TestCase):
    def test_directions_by_a_tokenizer_of_transformers(self):
        model = write_llama(pathlib.Path(FOLDER.name) / "llama")
        tensors = {name: torch.from_numpy(tensor).float() for name, tensor in model.items()}
        words = Words([*"abcdefgh", "Ġshe", "Ġhe", *(f"w{i}" for i in range(280))])
        path = pathlib.Path(FOLDER.name) / "llama"
        try:
            from transformers import LlamaForCausalLM
        except ImportError:
            self.skipTest("no transformers")
        model = LlamaForCausalLM.from_pretrained(path)
        by_word = bilens.decompose(
            model, layers=[1], k=2, directions={"plus": [" she"], "minus": [" he", "a"]}, tokenizer=words
        )
        by_number = bilens.decompose(path, layers=[1], k=2, directions={"plus": [8], "minus": [9, 0]})
        self.assertTrue(torch.equal(by_word.eigenvalues, by_number.eigenvalues))
        self.assertEqual(by_word.layers[1].direction_names, ["Ġshe − Ġhe, a"])
        self.assertEqual(by_number.layers[1].direction_names, ["#8 − #9, #0"])
        each = {"kind": "unembedding", "tokens": ["Ġhe", 299]}
        found = bilens.decompose(model, layers=[0], k=1, directions=each, tokenizer=words)
        self.assertEqual(found.layers[0].direction_names, ["Ġhe", "#299"])
        with self.assertRaisesRegex(bilens.UsageError, "one token.*'a', 'b'"):
            bilens.decompose(model, directions={"plus": ["ab"]}, tokenizer=words)
        with self.assertRaisesRegex(bilens.UsageError, "tokenizer"):
            bilens.decompose(model, directions={"plus": ["a"]}, tokenizer=3)
        with self.assertRaisesRegex(bilens.InputError, "another model's"):
            other = Words([*words.pieces, *(f"v{i}" for i in range(20))])
            bilens.decompose(model, directions={"plus": ["a"]}, tokenizer=other)
        with self.assertRaisesRegex(bilens.InputError, "model_type|config|language"):
            bilens.decompose(tensors, directions={"plus": ["a"]}, tokenizer=words, activation="none")

    def test_transformers(self):
        try:
            from transformers import LlamaConfig, LlamaForCausalLM
        except ImportError:
            self.skipTest("no transformers")
        config = LlamaConfig(
            vocab_size=50,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            hidden_act="linear",
            tie_word_embeddings=False,
        )
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        for block in model.model.layers:
            torch.nn.init.uniform_(block.post_attention_layernorm.weight, 0.5, 1.5)
        found = bilens.decompose(model, k=16, dtype="float64", layers=[1])
        self.assertEqual(found.info["gate"]["source"], 'config.json: hidden_act "linear"')
        block = model.model.layers[1].double()
        x = draw(3, 16)
        gain = block.post_attention_layernorm.weight
        normed = x / x.square().mean(-1, keepdim=True).add(config.rms_norm_eps).sqrt()
        torch.testing.assert_close(found.layers[1].truncate(16)(normed), block.mlp(normed * gain), rtol=0, atol=1e-7)
        config.hidden_act = "silu"
        gated = LlamaForCausalLM(config)
        with self.assertRaisesRegex(bilens.InputError, "bilinear"):
            bilens.decompose(gated)
        self.assertEqual(bilens.mlps(gated)[0].activation, "silu")
        half = bilens.decompose(gated, surrogate="half", k=2, directions=draw(3, 16), layers=[0])
        self.assertEqual(half.eigenvalues.shape, (3, 2))

    def test_transformer_lens(self):
        try:
            from transformer_lens import HookedTransformer, HookedTransformerConfig
        except ImportError:
            self.skipTest("no transformer_lens")
        config = HookedTransformerConfig(
            n_layers=2, d_model=16, n_ctx=8, d_head=8, d_mlp=24, d_vocab=30, act_fn="silu", gated_mlp=True
        )
        model = HookedTransformer(config)
        mlp, x = model.blocks[1].mlp, draw(3, 16).float()
        mlp.b_in.data = draw(24).float()
        expected = mlp(x[None])[0]
        with self.assertRaisesRegex(bilens.InputError, r"blocks.1.mlp.b_in: expected 0") as raised:
            bilens.mlps(model)
        exec(raised.exception.problems[0].fix.removeprefix("Move it: ").split(",")[0], {"mlp": mlp})
        mlp.b_in.data.zero_()
        layers = bilens.mlps(model)
        self.assertEqual([one.name for one in layers], ["blocks.0.mlp", "blocks.1.mlp"])
        torch.testing.assert_close(layers[1](x), expected)


class Lens(torch.nn.Module):
    """What a model of TransformerLens looks like, where that is not installed."""

    W_gate, W_in, W_out = (
        property(lambda self, name=name: torch.stack([getattr(block.mlp, name) for block in self.blocks]))
        for name in ("W_gate", "W_in", "W_out")
    )

    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList(torch.nn.Module() for _ in range(2))
        for i, block in enumerate(self.blocks):
            block.ln2, block.mlp = torch.nn.Module(), torch.nn.Module()
            block.ln2.w = torch.nn.Parameter(draw(6, seed=i).abs() + 0.5)
            for j, (name, shape) in enumerate({"W_gate": (6, 9), "W_in": (6, 9), "W_out": (9, 6)}.items()):
                setattr(block.mlp, name, torch.nn.Parameter(draw(*shape, seed=10 * i + j)))
            block.mlp.b_in = torch.nn.Parameter(draw(9, seed=20 + i))
            block.mlp.b_out = torch.nn.Parameter(draw(6, seed=30 + i))
            block.mlp.act_fn = torch.nn.Identity()


class LensMlp(torch.nn.Module):
    """Of a class that TransformerLens has by its name."""

    __module__ = "transformer_lens.components.mlps.gated_mlp"

    def __init__(self):
        super().__init__()
        for name, shape in {"W_gate": (6, 9), "W_in": (6, 9), "W_out": (9, 6), "b_in": (9,), "b_out": (6,)}.items():
            setattr(self, name, torch.nn.Parameter(draw(*shape, seed=len(name))))

    def forward(self, x):
        return (self.act_fn(x @ self.W_gate) * (x @ self.W_in) + self.b_in) @ self.W_out + self.b_out


class LikeNnsight(unittest.TestCase):
    def test_the_module_in_an_envoy(self):
        class Envoy:  # no torch module, as nnsight's
            __module__ = "nnsight.intervention.envoy"

            def __init__(self, module):
                self._module = module

        gated = torch.nn.Module()
        for name, shape in {"gate": (6, 9), "up": (6, 9), "down": (9, 6)}.items():
            setattr(gated, name, torch.nn.Linear(*shape))
        for take in (lambda model: bilens.mlps(model, activation="none")[0].W_gate, bilens.mlps):
            self.assertEqual(str(take(Envoy(gated))), str(take(gated)))
        found, expected = (bilens.decompose(model, activation="none", k=2) for model in (Envoy(gated), gated))
        self.assertTrue(torch.equal(found.eigenvalues, expected.eigenvalues))


class LikeTransformerLens(unittest.TestCase):
    def test_a_bias_behind_the_product_is_refused_until_it_is_moved(self):
        def gelu_new(z):
            return torch.nn.functional.gelu(z, approximate="tanh")

        mlp, x = LensMlp(), draw(4, 6)
        mlp.act_fn = gelu_new
        expected = mlp(x)
        for refuses in (bilens.mlps, lambda model: bilens.decompose(model, surrogate="half")):
            with self.assertRaisesRegex(bilens.InputError, "b_in: expected 0, for TransformerLens"):
                refuses(mlp)
        mlp.b_out.data += mlp.b_in.data @ mlp.W_out.data
        mlp.b_in.data.zero_()
        torch.testing.assert_close(mlp(x), expected)
        (layer,) = bilens.mlps(mlp)
        self.assertEqual(layer.activation, "gelu_tanh")
        torch.testing.assert_close(layer(x), expected)

    def test_layers_and_folded_norms(self):
        model = Lens()
        mlp, x = model.blocks[1].mlp, draw(4, 6)

        def expected(x):
            return ((x @ mlp.W_gate) * (x @ mlp.W_in + mlp.b_in)) @ mlp.W_out + mlp.b_out

        layers = bilens.mlps(model)
        torch.testing.assert_close(layers[1](x), expected(x).detach())
        found = bilens.decompose(model, k=6, dtype="float64", layers=[1]).layers[1]
        torch.testing.assert_close(
            found.truncate(6)(x), expected(x * model.blocks[1].ln2.w).detach(), rtol=0, atol=1e-12
        )
        plain = bilens.decompose(model, k=6, dtype="float64", layers=[1], fold_norm=False).layers[1]
        torch.testing.assert_close(plain.truncate(6)(x), expected(x).detach(), rtol=0, atol=1e-12)


if __name__ == "__main__":
    unittest.main()
