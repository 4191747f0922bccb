"""bilens.nn against torch's own operations: numbers, gradients, torch.compile, autocast, checks of operators."""

import functools
import unittest

import torch

from python_package import bilens

ACTIVATIONS = {
    "none": lambda z: z,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": functools.partial(torch.nn.functional.gelu, approximate="tanh"),
    "relu": torch.nn.functional.relu,
}


def draw(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


class Product(unittest.TestCase):
    def test_numbers_and_gradients(self):
        for name, f in ACTIVATIONS.items():
            with self.subTest(name):
                gate, up = draw(3, 5, 7).requires_grad_(), draw(3, 5, 7, seed=1).requires_grad_()
                torch.testing.assert_close(bilens.nn.gated_product(gate, up, name), f(gate) * up)
                self.assertTrue(torch.autograd.gradcheck(lambda g, u: bilens.nn.gated_product(g, u, name), (gate, up)))

    def test_second_derivatives(self):
        for name in ACTIVATIONS:
            with self.subTest(name):
                product = functools.partial(bilens.nn.gated_product, activation=name)
                gate, up = draw(3, 4).requires_grad_(), draw(3, 4, seed=1).requires_grad_()
                self.assertTrue(torch.autograd.gradgradcheck(product, (gate, up)))

    def test_every_dtype(self):
        exact = {}
        for dtype, tolerance in {
            torch.float64: 1e-14,
            torch.float32: 1e-6,
            torch.bfloat16: 2**-8,
            torch.float16: 2**-10,
        }.items():
            gate, up = draw(4, 9, dtype=dtype), draw(4, 9, dtype=dtype, seed=1)
            y = bilens.nn.gated_product(gate, up, "silu")
            self.assertEqual(y.dtype, dtype)
            exact = torch.nn.functional.silu(gate.double()) * up.double()
            torch.testing.assert_close(y.double(), exact, rtol=tolerance, atol=1e-7)

    def test_strides_nan_and_a_beta(self):
        gate, up = draw(5, 7).T, draw(9, 5, seed=1)[1:8]
        torch.testing.assert_close(bilens.nn.gated_product(gate, up, "silu"), torch.nn.functional.silu(gate) * up)
        product = torch.ops.bilens.gated_product(gate, up, "silu", 0.5)
        torch.testing.assert_close(product, gate * torch.sigmoid(0.5 * gate) * up)
        gate = gate.clone()
        gate[2, 3] = float("nan")
        self.assertEqual(bilens.nn.gated_product(gate, up, "relu").isnan().nonzero().tolist(), [[2, 3]])

    def test_torchs_checks_of_operators(self):
        for name in ACTIVATIONS:
            for shape in ((4, 6), (2, 3, 5), (0, 4)):
                with self.subTest(activation=name, shape=shape):
                    gate, up = draw(*shape, dtype=torch.float32), draw(*shape, dtype=torch.float32, seed=1)
                    torch.library.opcheck(torch.ops.bilens.gated_product.default, (gate, up, name))
                    gate.requires_grad_(), up.requires_grad_()
                    torch.library.opcheck(torch.ops.bilens.gated_product.default, (gate, up, name))
                    grad = draw(*shape, dtype=torch.float32, seed=2)
                    arguments = (grad, gate.detach(), up.detach(), name, 1.0)
                    torch.library.opcheck(torch.ops.bilens.gated_product_backward.default, arguments)

    def test_inside_compile(self):
        mlp = bilens.nn.BilinearMLP(6, 10, gate="silu")
        x = draw(3, 6, dtype=torch.float32).requires_grad_()
        compiled = torch.compile(mlp, fullgraph=True, backend="aot_eager")
        plain = mlp(x)
        torch.testing.assert_close(compiled(x), plain)
        (plain_grad,) = torch.autograd.grad(plain.sum(), x)
        (grad,) = torch.autograd.grad(compiled(x).sum(), x)
        torch.testing.assert_close(grad, plain_grad)

    def test_autocast(self):
        mlp = bilens.nn.BilinearMLP(6, 10)
        x = draw(3, 6, dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            y = mlp(x)
            mixed = bilens.nn.gated_product(x, x.bfloat16())
        self.assertEqual(y.dtype, torch.bfloat16)
        self.assertEqual(mixed.dtype, torch.float32)
        torch.testing.assert_close(y.float(), mlp(x), rtol=0.05, atol=0.02)
        y.sum().backward()
        self.assertEqual(mlp.gate_proj.weight.grad.dtype, torch.float32)

    def test_refused(self):
        gate = draw(2, 3)
        for other, words in ((draw(3, 2), "shape"), (draw(2, 3).float(), "dtype"), (draw(2, 3).int(), "dtype")):
            with self.assertRaisesRegex(ValueError, words):
                bilens.nn.gated_product(gate, other)
        with self.assertRaisesRegex(ValueError, "sigmoid"):
            bilens.nn.gated_product(gate, gate, "sigmoid")
        with self.assertRaises(bilens.UsageError):
            bilens.nn.BilinearMLP(4, 8, gate="sigmoid")
        with self.assertRaises(bilens.UsageError):
            bilens.nn.BilinearMLP(4, 8, down_proj=False)


class Module(unittest.TestCase):
    def test_is_found_and_decomposed(self):
        for bias in (False, True):
            mlp = bilens.nn.BilinearMLP(6, 10, bias=bias)
            x = draw(4, 6)
            double = bilens.decompose(mlp, k=6, dtype="float64", activation="none").layers[0]
            torch.testing.assert_close(double.truncate(6)(x), mlp.double()(x), rtol=0, atol=1e-12)

    def test_initialised_as_linear(self):
        torch.manual_seed(3)
        mlp = bilens.nn.BilinearMLP(6, 10, bias=True)
        torch.manual_seed(3)
        for name, shape in (("gate_proj", (6, 10)), ("up_proj", (6, 10)), ("down_proj", (10, 6))):
            linear = torch.nn.Linear(*shape)
            self.assertTrue(torch.equal(getattr(mlp, name).weight, linear.weight), name)
            self.assertTrue(torch.equal(getattr(mlp, name).bias, linear.bias), name)


if __name__ == "__main__":
    unittest.main()
