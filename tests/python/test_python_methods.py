"""The methods of a decomposition as functions: what they give is what bilens.decompose gives, and every setting that
the library knows of a method is an argument."""

import inspect
import unittest

from python_package import bilens, layer, same_bits

SETTINGS = {
    "hosvd": {"energy": 0.8},
    "sparse_eigen": {"sparsity": [2, 5], "starts": 2, "max_iterations": 50},
    "rotate": {"starts": 2, "max_iterations": 50, "tolerance": 1e-3, "seed": 4},
    "joint": {"starts": 2, "max_iterations": 50, "tolerance": 1e-3, "seed": 4},
    "cp": {"rank": 3, "starts": 2, "max_iterations": 30, "tolerance": 1e-3, "l1": 0.1, "nonnegative": True, "seed": 4},
}
COMMON = {"model", "up", "down", "settings"}


class Methods(unittest.TestCase):
    def test_every_method_and_setting_of_the_library(self):
        schema = bilens.schema("decompose")["properties"]
        self.assertEqual(set(SETTINGS) | {"eigen"}, set(schema["method"]["enum"]))
        for method, settings in SETTINGS.items():
            self.assertEqual(set(schema[method]["properties"]), set(settings), method)
            arguments = inspect.signature(getattr(bilens, method)).parameters
            self.assertEqual(set(arguments) - COMMON, set(settings), method)

    def test_against_decompose(self):
        gate, matrices = layer()
        for method, settings in SETTINGS.items():
            with self.subTest(method):
                common = {"threads": 1} if method == "cp" else {"threads": 1, "k": 3}
                found = getattr(bilens, method)(gate, **matrices, **common, **settings)
                same = bilens.decompose(gate, **matrices, **common, method=method, **{method: settings})
                self.assertEqual(found.info["layers"][0]["method"], method)
                for key, value in settings.items():
                    self.assertEqual(found.info["config"][method][key], value)
                self.assertEqual(found.tensors.keys(), same.tensors.keys())
                for name, tensor in same.tensors.items():
                    self.assertTrue(same_bits(found.tensors[name], tensor), name)

    def test_defaults_are_the_librarys(self):
        gate, matrices = layer()
        for method in SETTINGS:
            found = getattr(bilens, method)(gate, **matrices, threads=1)
            same = bilens.decompose(gate, **matrices, threads=1, method=method)
            self.assertEqual(found.info["config"], same.info["config"])

    def test_a_module(self):
        found = bilens.hosvd(bilens.nn.BilinearMLP(8, 16), k=2)
        self.assertEqual(tuple(found.tensors["hosvd_input_vectors"].shape), (2, 8))

    def test_refused(self):
        gate, matrices = layer()
        with self.assertRaisesRegex(bilens.UsageError, "^rank: expected"):
            bilens.cp(gate, **matrices, rank=0)
        for name, value in {"method": "eigen", "cp": {"rank": 2}}.items():
            with self.assertRaisesRegex(bilens.UsageError, f"{name}: expected the settings of cp as arguments"):
                bilens.cp(gate, **matrices, **{name: value})


if __name__ == "__main__":
    unittest.main()
