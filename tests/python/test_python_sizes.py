"""Weights of any size that float64 holds: right results, or a refusal in words, but never a wrong number."""

import itertools
import unittest

import torch

from python_package import bilens, layer

bilens.set_progress(None)
SIZES = {
    "tiny": (1e-200, 1.0, 1.0),
    "huge": (1.0, 1e200, 1.0),
    "tiny outputs": (1.0, 1.0, 1e-300),
    "denormal": (1.0, 1.0, 1e-310),
    "opposite": (1e200, 1e-200, 1.0),
    "small all": (1e-100, 1e-100, 1e-100),
    "large all": (1e100, 1e100, 1e100),
}
METHODS = {"hosvd": "hosvd_", "sparse_eigen": "sparse_", "rotate": "rotated_", "joint": "joint_", "cp": "cp_"}


def three(sizes=(1.0, 1.0, 1.0), seed=0, **more):
    gate, matrices = layer(dtype=torch.float64, seed=seed, **more)
    return tuple(matrix * size for matrix, size in zip((gate, matrices["up"], matrices["down"]), sizes))


def exact(sizes):
    """The product of all, which may be beyond what a factor alone would give."""
    ordered = sorted(sizes)
    return ordered[0] * ordered[2] * ordered[1]


class Compare(unittest.TestCase):
    def test_likeness_does_not_depend_on_sizes(self):
        x = torch.randn(100, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
        plain = bilens.compare(three(), three(seed=1), data=x)[0]
        for name, sizes in SIZES.items():
            with self.subTest(name):
                delta = 1e-4 if name == "denormal" else 1e-12
                found = bilens.compare(three(sizes), three(seed=1), data=x)[0]
                for figure, key in itertools.product(("weights", "data", "outputs"), ("per_class", "untrained")):
                    torch.testing.assert_close(
                        torch.tensor(found[figure][key]), torch.tensor(plain[figure][key]), rtol=0, atol=delta
                    )

    def test_each_output_has_its_own_size(self):
        gate, up, down = three()
        rows = torch.tensor([1e-250, 1.0, 1e250, 1e-3, 1e-160], dtype=torch.float64)[:, None]
        plain, found = (bilens.compare((gate, up, d), three(seed=1))[0] for d in (down, down * rows))
        for a, b in zip(found["weights"]["per_class"], plain["weights"]["per_class"]):
            self.assertAlmostEqual(a, b, delta=1e-12)

    def test_a_zero_output_is_like_nothing(self):
        gate, up, down = three()
        down[2] = 0
        found = bilens.compare((gate, up, down), three(seed=1))[0]["weights"]["per_class"]
        self.assertEqual(found[2], 0)

    def test_refused(self):
        gate, up, down = three()
        for size in (1e-100, 1e100):
            with self.assertRaisesRegex(bilens.InputError, "data: expected inputs whose fourth powers"):
                bilens.compare((gate, up, down), (gate, up, down), data=torch.full((5, 12), size, dtype=torch.float64))
        far = bilens.BilinearLayer((gate * 1e-200).T, up.T, down.T, b_gate=torch.ones(20, dtype=torch.float64))
        with self.assertRaisesRegex(bilens.InputError, "biases: expected values whose squares"):
            bilens.compare(far, far)


class Decompose(unittest.TestCase):
    def test_eigenpairs(self):
        plain = bilens.decompose(*three(), k=4, dtype="float64", certify=True, threads=1)
        for name, sizes in SIZES.items():
            with self.subTest(name):
                found = bilens.decompose(*three(sizes), k=4, dtype="float64", certify=True, threads=1)
                rtol = 1e-5 if name == "denormal" else 1e-12
                expected = plain.eigenvalues * exact(sizes)
                torch.testing.assert_close(found.eigenvalues, expected, rtol=rtol, atol=0)
                torch.testing.assert_close(
                    found.tensors["weight_energy"], plain.tensors["weight_energy"], rtol=1e-5, atol=0
                )
                self.assertTrue((found.certified_bound <= found.eigenvalues[:, -1].abs() * (1 + 1e-4)).all())

    def test_other_methods_give_the_same_shares_or_are_refused(self):
        for method, prefix in METHODS.items():
            settings = {"rank": 3} if method == "cp" else {"k": 3}
            plain = getattr(bilens, method)(*three(), **settings, dtype="float64", threads=1)
            for name, sizes in SIZES.items():
                with self.subTest(f"{method}, {name}"):
                    try:
                        found = getattr(bilens, method)(*three(sizes), **settings, dtype="float64", threads=1)
                    except bilens.InputError as error:
                        self.assertRegex(str(error), "float64 (can )?hold.*(by a power of two|weights down)")
                        continue
                    shares = [key for key in found.tensors if key.startswith(prefix) and key.endswith("energy")]
                    self.assertTrue(shares)
                    for key in shares:
                        torch.testing.assert_close(found.tensors[key], plain.tensors[key], rtol=0, atol=1e-5)
                    for key, tensor in found.tensors.items():
                        self.assertTrue(tensor.double().isfinite().all(), key)

    def test_values_of_a_rotation(self):
        plain = bilens.rotate(*three(), k=3, dtype="float64").tensors["rotated_values"]
        for name in ("tiny", "huge"):
            found = bilens.rotate(*three(SIZES[name]), k=3, dtype="float64").tensors["rotated_values"]
            torch.testing.assert_close(found, plain * exact(SIZES[name]), rtol=1e-4, atol=0)

    def test_methods_that_square_refuse_what_has_no_square(self):
        for method in ("hosvd", "joint", "cp"):
            settings = {"rank": 3} if method == "cp" else {"k": 3}
            for name, way in {"tiny": "Multiply", "huge": "Divide"}.items():
                with self.assertRaisesRegex(bilens.InputError, f"squares.*{way} the weights by a power of two"):
                    getattr(bilens, method)(*three(SIZES[name]), **settings, dtype="float64")

    def test_what_is_beyond_float64(self):
        sizes = (1e200, 1e200, 1.0)
        for method in ("decompose", *METHODS):
            with self.assertRaisesRegex(bilens.InputError, "float64"):
                getattr(bilens, method)(*three(sizes), dtype="float64")
        one = bilens.BilinearLayer(*(matrix.T for matrix in three(sizes)))
        for product in (lambda: one.Q(torch.ones(5)), one.B):
            with self.assertRaisesRegex(bilens.InputError, "products that float64 holds"):
                product()


if __name__ == "__main__":
    unittest.main()
