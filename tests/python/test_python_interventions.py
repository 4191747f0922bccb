"""ablate, scale and patch: what they change, what they leave, and the numbers of `bilens intervene`."""

import pathlib
import tempfile
import unittest

import torch

from language_models import write_llama
from python_package import bilens


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class OnAModule(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(bilens.nn.BilinearMLP(6, 9, bias=True), bilens.nn.BilinearMLP(6, 9)).double()
        self.rows = draw(3, 6, seed=4)
        self.found = bilens.decompose(self.model, k=6, dtype="float64", directions=self.rows)

    def outputs(self, x):
        seen = []
        handle = self.model[1].register_forward_hook(lambda _, inputs, y: seen.append((inputs[0], y)))
        self.model(x)
        handle.remove()
        return seen[0]

    def test_moves_the_form_along_u_and_nothing_else(self):
        x = draw(2, 5, 6, seed=7)
        h, y = self.outputs(x)
        u, pairs = self.rows[2], [0, 3]
        q = self.found.layers[1].contributions(h, direction=2)[..., pairs].sum(-1)
        source = draw(2, 6, 6, seed=8)
        of_source = self.found.layers[1].contributions(self.outputs(source)[0], direction=2)[:2, :5, pairs].sum(-1)
        changes = {
            "zero": (bilens.ablate, {"how": "zero"}, -q),
            "mean": (bilens.ablate, {}, q.mean() - q),
            "scale": (bilens.scale, {"factor": 3.0}, 2 * q),
            "patch": (bilens.patch, {"source": source}, of_source - q),
        }
        for name, (tool, options, expected) in changes.items():
            with self.subTest(name):
                with tool(self.model, self.found, layer=1, direction=2, eigenvectors=pairs, **options):
                    changed = self.model(x)
                moved = changed - y
                torch.testing.assert_close(moved @ u, expected, rtol=0, atol=1e-12)
                rest = moved - (moved @ u)[..., None] * u / u.square().sum()
                self.assertLess(rest.abs().max(), 1e-13)
                self.assertTrue(torch.equal(self.model(x), y))

    def test_gradients_go_through(self):
        x = draw(4, 6).requires_grad_()
        with bilens.scale(self.model, self.found, 0.5, layer=1):
            self.assertTrue(torch.autograd.gradcheck(self.model, (x,)))

    def test_the_model_is_as_it_was_after_an_error(self):
        x = draw(4, 6)
        y = self.model(x)
        with self.assertRaises(RuntimeError), bilens.ablate(self.model, self.found, layer=0):
            raise RuntimeError("inside")
        self.assertTrue(torch.equal(self.model(x), y))

    def test_refused(self):
        trained = torch.nn.Sequential(bilens.nn.BilinearMLP(6, 9), bilens.nn.BilinearMLP(6, 9)).double()
        cases = {
            "eigenvectors of the model's own weights": (bilens.InputError, trained, {"layer": 1}),
            "a single layer": (bilens.UsageError, self.model, {}),
            "one that was decomposed": (bilens.UsageError, self.model, {"layer": 2}),
            "from 0 to 2": (bilens.UsageError, self.model, {"layer": 0, "direction": 3}),
            "different numbers": (bilens.UsageError, self.model, {"layer": 0, "eigenvectors": [1, 1]}),
            '"mean" or "zero"': (bilens.UsageError, self.model, {"layer": 0, "how": "half"}),
            "eigenvectors: expected a list": (bilens.UsageError, self.model, {"layer": 0, "eigenvectors": [1.5]}),
            "gated MLPs": (bilens.InputError, torch.nn.Linear(6, 6), {"layer": 0}),
        }
        for words, (kind, model, options) in cases.items():
            with self.subTest(words), self.assertRaisesRegex(kind, words), bilens.ablate(model, self.found, **options):
                pass
        with self.assertRaisesRegex(bilens.UsageError, "at least the tokens"):
            with bilens.patch(self.model, self.found, draw(1, 2, 6), layer=1):
                self.model(draw(1, 3, 6))

    def test_blocks_in_each_other(self):
        x = draw(3, 6)
        part = {"layer": 1, "direction": 2}
        with bilens.ablate(self.model, self.found, **part, eigenvectors=[0, 3], how="zero"):
            expected = self.model(x)
        with bilens.ablate(self.model, self.found, **part, how="zero"):
            with bilens.ablate(self.model, self.found, **part, eigenvectors=[3], how="zero"):
                torch.testing.assert_close(self.model(x), expected, rtol=0, atol=1e-12)
            twice = [
                lambda: bilens.ablate(self.model, self.found, **part, eigenvectors=[3, 0]),
                lambda: bilens.scale(self.model, self.found, 2.0, **part),
                lambda: bilens.patch(self.model, self.found, x, **part),
                lambda: bilens.ablate(self.model, bilens.decompose(self.model, k=1, directions=2 * self.rows), **part),
            ]
            for again in twice:
                with self.assertRaisesRegex(bilens.UsageError, r"a block around changes already, found \[0\]"):
                    with again():
                        self.model(x)
            with (
                bilens.ablate(self.model, self.found, layer=1, direction=1),
                bilens.ablate(self.model, self.found, layer=0),
            ):
                self.model(x)
        with bilens.ablate(self.model, self.found, **part, eigenvectors=[0, 3], how="zero"):
            self.assertTrue(torch.equal(self.model(x), expected))

    def test_a_block_without_effect_is_an_error(self):
        with self.assertRaisesRegex(bilens.UsageError, "a call that runs the layer"):
            with bilens.ablate(self.model, self.found, layer=0):
                pass
        compiled = torch.compile(self.model, backend="eager")
        x = draw(4, 6)
        compiled(x)
        with self.assertRaisesRegex(bilens.UsageError, "torch.compile"):
            with bilens.ablate(compiled, self.found, layer=0):
                compiled(x)

    def test_small_directions_have_a_scale_of_their_own(self):
        model = bilens.nn.BilinearMLP(6, 9)
        with torch.no_grad():
            model.down_proj.weight[0] *= 1e-6
        found = bilens.decompose(model, k=2)
        with torch.no_grad():
            model.down_proj.weight[0] = 1e-6 * torch.randn(9)
        with self.assertRaisesRegex(bilens.InputError, "own weights"):
            with bilens.ablate(model, found, direction=0):
                model(torch.ones(6))

    def test_factors_widths_and_keywords(self):
        x = draw(4, 6)
        for factor in (float("nan"), 1j, torch.ones(4), True):
            with self.assertRaisesRegex(bilens.UsageError, "factor"):
                bilens.scale(self.model, self.found, factor, layer=0)
        with self.assertRaisesRegex(bilens.InputError, "inputs of 6"):
            with bilens.ablate(bilens.nn.BilinearMLP(7, 10), bilens.decompose(bilens.nn.BilinearMLP(6, 9), k=1)):
                pass
        mlp = self.model[0]
        with bilens.ablate(mlp, bilens.decompose(mlp, k=3), how="zero"):
            self.assertTrue(torch.equal(mlp(x), mlp(x=x)))

    def test_traceless_forms_and_half_of_a_gated_one(self):
        plain = bilens.nn.BilinearMLP(6, 9).double()
        x = draw(4, 6)
        gated = bilens.nn.BilinearMLP(6, 9, gate="silu").double()
        half = bilens.decompose(gated, surrogate="half", k=6, dtype="float64")
        with bilens.ablate(gated, half, direction=1, how="zero"):
            moved = gated(x)[:, 1]
        expected = gated(x)[:, 1] - half.layers[0].contributions(x, direction=1)[:, 0]
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)
        shifted = bilens.decompose(plain, k=3, dtype="float64", traceless=True)
        with bilens.ablate(plain, shifted, direction=2, eigenvectors=[1], how="zero"):
            moved = plain(x)[:, 2]
        expected = plain(x)[:, 2] - shifted.layers[0].contributions(x, direction=2)[:, 1]
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)
        found = bilens.decompose(plain, k=6, dtype="float64")
        with bilens.ablate(plain, found, direction=1, eigenvectors=range(6), how="zero"):
            self.assertLess(plain(x)[:, 1].abs().max(), 1e-12)


class OnATransformersModel(unittest.TestCase):
    """The same tokens, windows and eigenvectors as a run of `bilens intervene`."""

    WINDOW = 16

    def loss(self, model, ids):
        logits = model(ids[:, :-1]).logits.double()
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())

    def test_as_the_command_line(self):
        try:
            from transformers import LlamaForCausalLM
        except ImportError:
            self.skipTest("no transformers")
        with tempfile.TemporaryDirectory(prefix="bilens-python-") as name:
            folder = pathlib.Path(name)
            write_llama(folder / "model")
            model = LlamaForCausalLM.from_pretrained(folder / "model")
            found = bilens.decompose(model, layers=[1], k=16, directions=draw(1, 16, seed=3).float())
            found.save(folder / "found")
            written = bilens.decompose(
                folder / "model", layers=[1], k=16, directions=draw(1, 16, seed=3), out=folder / "of_path", analyses=[]
            )
            self.assertTrue(torch.equal(written.eigenvalues, found.eigenvalues))
            ids = torch.randint(2, 300, (10 * self.WINDOW,), generator=torch.Generator().manual_seed(0))
            (folder / "tokens.bin").write_bytes(ids.numpy().astype("<u2").tobytes())
            for change, tool, options in (
                ("zero", bilens.ablate, {"how": "zero"}),
                ("scale", bilens.scale, {"factor": 2.0}),
            ):
                job = bilens.intervene(
                    folder / "of_path",
                    layer=1,
                    eigenvectors=[0, 1],
                    tokens=10 * self.WINDOW,
                    data={
                        "dataset": "tokens",
                        "path": str(folder / "tokens.bin"),
                        "context": self.WINDOW,
                        "packing": "plain",
                    },
                    intervention={"change": change, "controls": 1},
                )
                windows = ids.reshape(10, self.WINDOW)
                with torch.no_grad():
                    before = self.loss(model, windows)
                    with tool(model, found, layer=1, eigenvectors=[0, 1], **options):
                        after = self.loss(model, windows)
                self.assertAlmostEqual(job["loss"], before.item(), places=4)
                moved = job["effects"][0]["loss"]["mean"]
                self.assertGreater(abs(moved), 1e-4)
                self.assertAlmostEqual(moved, (after - before).item(), places=4)


if __name__ == "__main__":
    unittest.main()
