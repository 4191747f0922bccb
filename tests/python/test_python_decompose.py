"""bilens.decompose against numpy in float64, against the files of the command line, and on inputs that are wrong."""

import copy
import gc
import json
import pathlib
import pickle
import tempfile
import unittest
import weakref

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from bilens_cli import run, settings
from python_package import bilens, layer, reference, same_bits

FOLDER = tempfile.TemporaryDirectory(prefix="bilens-python-")
METHODS = {method: {"k": 3} for method in ("eigen", "hosvd", "rotate", "joint", "sparse_eigen")}
METHODS["cp"] = {"cp": {"rank": 3}}


def by_size(values):
    return values[np.argsort(-np.abs(values), kind="stable")]


class AgainstNumpy(unittest.TestCase):
    def check(self, gate, matrices, **arguments):
        found = bilens.decompose(gate, **matrices, k=4, **arguments)
        forms = reference(gate, matrices["up"], matrices["down"], arguments.get("directions"))
        tolerance = 1e-9 if arguments.get("dtype") == "float64" else 5e-6
        self.assertEqual(tuple(found.eigenvalues.shape), (len(forms), 4))
        for u, form in enumerate(forms):
            expected = by_size(np.linalg.eigvalsh(form))[:4]
            size = abs(expected[0])
            np.testing.assert_allclose(found.eigenvalues[u].numpy(), expected, rtol=0, atol=tolerance * size)
            for i in range(4):
                vector = found.eigenvectors[u, i].double().numpy()
                missing = form @ vector - found.eigenvalues[u, i].item() * vector
                self.assertLess(np.linalg.norm(missing), tolerance * size)
                self.assertLessEqual(np.linalg.norm(missing), found.residuals[u, i].item() * size * (1 + 1e-6) + 1e-15)
        return found

    def test_every_dtype(self):
        for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            with self.subTest(dtype=dtype):
                self.check(*layer(dtype=dtype))
                self.check(*layer(dtype=dtype), dtype="float64")

    def test_any_strides(self):
        gate, matrices = layer()
        plain = bilens.decompose(gate, **matrices, k=4)
        strided = {
            "transposed": lambda m: m.T.contiguous().T,
            "every other": lambda m: m.repeat_interleave(2, dim=1)[:, ::2],
            "part of a larger one": lambda m: torch.nn.functional.pad(m, (3, 4, 1, 2))[1:-2, 3:-4],
        }
        for name, view in strided.items():
            with self.subTest(name):
                found = bilens.decompose(view(gate), **{key: view(m) for key, m in matrices.items()}, k=4)
                self.assertTrue(torch.equal(found.eigenvalues, plain.eigenvalues))
                self.assertTrue(torch.equal(found.eigenvectors, plain.eigenvectors))
                self.assertEqual(found.info["model_sha256"], plain.info["model_sha256"])

    def test_arrays_of_numpy_are_not_copied_and_not_changed(self):
        gate, matrices = layer(dtype=torch.float64)
        arrays = {key: matrix.numpy().copy() for key, matrix in {"gate": gate, **matrices}.items()}
        for array in arrays.values():
            array.flags.writeable = False
        found = bilens.decompose(arrays["gate"], arrays["up"], arrays["down"], k=4)
        self.assertTrue(torch.equal(found.eigenvalues, bilens.decompose(gate, **matrices, k=4).eigenvalues))

    def test_parameters_under_any_mode(self):
        gate, matrices = layer()
        plain = bilens.decompose(gate, **matrices, k=4).eigenvalues
        learned = [torch.nn.Parameter(matrix) for matrix in (gate, matrices["up"], matrices["down"])]
        modes = [torch.enable_grad(), torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16)]
        for mode in modes:
            with self.subTest(type(mode).__name__), mode:
                found = bilens.decompose(*learned, k=4).eigenvalues
                self.assertTrue(torch.equal(found, plain))
                self.assertFalse(found.requires_grad)
        with torch.inference_mode():
            made_there = [parameter * 1 for parameter in learned]
        self.assertTrue(torch.equal(bilens.decompose(*made_there, k=4).eigenvalues, plain))
        self.assertTrue(torch.is_grad_enabled())

    def test_the_default_dtype_changes_nothing(self):
        gate, matrices = layer()
        plain = bilens.decompose(gate, **matrices, k=4, certify=True)
        try:
            torch.set_default_dtype(torch.float64)
            other = bilens.decompose(gate, **matrices, k=4, certify=True)
        finally:
            torch.set_default_dtype(torch.float32)
        for name, tensor in plain.tensors.items():
            self.assertEqual(other.tensors[name].dtype, tensor.dtype, name)
            self.assertTrue(torch.equal(other.tensors[name], tensor), name)

    def test_directions(self):
        gate, matrices = layer()
        rows = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
        found = self.check(gate, matrices, directions=rows)
        self.assertTrue(torch.equal(found.layers[0].directions, rows))
        self.check(gate, matrices, directions=rows[:1])
        one = bilens.decompose(gate, **matrices, k=4, directions=rows[0].numpy())
        self.assertTrue(torch.equal(one.eigenvalues, found.eigenvalues[:1]))
        self.assertEqual(
            bilens.decompose(gate, **matrices, directions="axes").info["config"]["directions"]["kind"], "axes"
        )

    def test_what_the_eigenpairs_say_of_activations(self):
        gate, matrices = layer(biases=True)
        found = bilens.decompose(gate, **matrices, k=12, dtype="float64").layers[0]
        x = torch.randn(2, 7, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        doubles = {key: matrix.double() for key, matrix in matrices.items()}
        y = ((x @ gate.double().T + doubles["gate_bias"]) * (x @ doubles["up"].T + doubles["up_bias"])) @ doubles[
            "down"
        ].T + doubles["down_bias"]
        torch.testing.assert_close(found.truncate(12)(x), y, rtol=0, atol=1e-12)
        parts = found.contributions(x)
        self.assertEqual(tuple(parts.shape), (2, 7, 5, 12))
        expected = found.eigenvalues[3] * (x @ found.eigenvectors[3].T).square()
        torch.testing.assert_close(parts[:, :, 3], expected, rtol=1e-12, atol=0)
        torch.testing.assert_close(found.contributions(x, direction=3), expected, rtol=1e-12, atol=0)
        linear = x @ found.tensors["linear"].T + found.tensors["constant"]
        torch.testing.assert_close(found.truncate(3)(x), parts[..., :3].sum(-1) + linear, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(found.truncate(0)(x[0, 0]), linear[0, 0], rtol=1e-12, atol=1e-13)


class AsTheCommandLine(unittest.TestCase):
    """The same numbers and files, bit for bit."""

    def decompose_by_program(self, name, tensors, config, *flags):
        folder = pathlib.Path(FOLDER.name) / name
        folder.mkdir()
        save_file(
            {key: tensor.contiguous() for key, tensor in tensors.items()},
            folder / "model.safetensors",
            {"format": "pt"},
        )
        weights = {key: key for key in tensors if key != "rows"}
        given = {"weights": weights, "analyses": [], "threads": 2, **config}
        done = run(
            "decompose",
            folder / "model.safetensors",
            "--gate",
            "none",
            "--out",
            folder / "out",
            *flags,
            *settings(given),
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return folder / "out"

    def compare(self, folder, found):
        written = json.loads((folder / "decomposition.json").read_text())
        free = {"seconds", "model", "config", "device"}
        for key, value in found.info.items():
            if key == "layers":
                for a, b in zip(value, written[key]):
                    self.assertEqual({**a, "seconds": 0}, {**b, "seconds": 0})
            elif key not in free:
                self.assertEqual(value, written[key], key)
        tensors = load_file(folder / found.info["layers"][0]["file"])
        self.assertEqual(set(found.tensors), set(tensors))
        for name, tensor in tensors.items():
            self.assertTrue(same_bits(found.tensors[name], tensor), name)

    def test_every_method(self):
        gate, matrices = layer(biases=True)
        for method, options in METHODS.items():
            with self.subTest(method):
                config = {"method": method, **options}
                folder = self.decompose_by_program(method, {"gate": gate, **matrices}, config)
                found = bilens.decompose(gate, **matrices, threads=2, **config)
                self.compare(folder, found)
                saved = pathlib.Path(FOLDER.name) / method / "saved"
                found.save(saved)
                self.compare(saved, bilens.load(folder))
                name = found.info["layers"][0]["file"]
                self.assertEqual((saved / name).read_bytes(), (folder / name).read_bytes())

    def test_certified_over_given_directions(self):
        gate, matrices = layer(d_in=40, d_hidden=60, d_out=8)
        rows = torch.randn(3, 8, generator=torch.Generator().manual_seed(4))
        config = {"k": 5, "certify": True, "solver": "lanczos"}
        spec = {
            "kind": "file",
            "path": str(pathlib.Path(FOLDER.name) / "certified/model.safetensors"),
            "tensor": "rows",
        }
        folder = self.decompose_by_program(
            "certified", {"gate": gate, **matrices, "rows": rows}, {**config, "directions": spec}
        )
        found = bilens.decompose(gate, **matrices, directions=rows, threads=2, **config)
        written = load_file(folder / "layer_0.safetensors")
        for name, tensor in found.tensors.items():
            self.assertTrue(same_bits(tensor, written[name]), name)
        self.assertFalse(found.certified_bound.isnan().any())

    def test_into_a_folder(self):
        gate, matrices = layer()
        out = pathlib.Path(FOLDER.name) / "into"
        found = bilens.decompose(gate, **matrices, k=3, out=out)
        self.assertTrue((out / "decomposition.json").is_file())
        self.assertTrue(torch.equal(found.eigenvalues, bilens.decompose(gate, **matrices, k=3).eigenvalues))
        with self.assertRaisesRegex(bilens.UsageError, "overwrite=True"):
            bilens.decompose(gate, **matrices, k=2, out=out)
        again = bilens.decompose(gate, **matrices, k=2, out=out, overwrite=True)
        self.assertEqual(again.eigenvalues.shape[1], 2)

    def test_going_on_is_for_the_same_job(self):
        gate, matrices = layer()
        out = pathlib.Path(FOLDER.name) / "same"
        rows = torch.eye(5)[:2]
        first = bilens.decompose(gate, **matrices, k=2, out=out, directions=rows)
        again = bilens.decompose(gate, **matrices, k=2, out=out, directions=rows, resume=True)
        self.assertTrue(torch.equal(first.eigenvalues, again.eigenvalues))
        for other in ({"k": 3}, {"directions": rows * 2}, {"gate_bias": torch.ones(20)}):
            with self.subTest(other), self.assertRaises(bilens.UsageError):
                bilens.decompose(gate, **{**matrices, "k": 2, "directions": rows, **other}, out=out, resume=True)
        with self.assertRaises(bilens.UsageError):
            bilens.decompose(gate * 2, **matrices, k=2, out=out, directions=rows, resume=True)
        self.assertTrue(torch.equal(bilens.load(out).eigenvalues, first.eigenvalues))

    def test_a_difference(self):
        gate, matrices = layer()
        other_gate, other = layer(seed=1)
        found = bilens.decompose(
            {"gate_proj.weight": gate, "up_proj.weight": matrices["up"], "down_proj.weight": matrices["down"]},
            minus={"gate_proj.weight": other_gate, "up_proj.weight": other["up"], "down_proj.weight": other["down"]},
            activation="none",
            k=4,
        )
        forms = zip(
            reference(gate, matrices["up"], matrices["down"]), reference(other_gate, other["up"], other["down"])
        )
        for u, (a, b) in enumerate(forms):
            expected = by_size(np.linalg.eigvalsh(a - b))[:4]
            np.testing.assert_allclose(found.eigenvalues[u].numpy(), expected, rtol=1e-5)


class Files(unittest.TestCase):
    def test_a_report(self):
        gate, matrices = layer()
        page = pathlib.Path(FOLDER.name) / "page.html"
        bilens.decompose(gate, **matrices, k=2).report(page)
        self.assertIn("bilens", page.read_text())

    def test_what_is_said_of_eigenpairs_is_said_whole(self):
        gate, matrices = layer()
        folder = pathlib.Path(FOLDER.name) / "parts"
        bilens.decompose(gate, **matrices, k=2).save(folder)
        whole = json.loads((folder / "decomposition.json").read_text())
        for key in ("solver", "k", "worst_residual", "converged", "certified", "repaired", "effective_rank"):
            part = copy.deepcopy(whole)
            del part["layers"][0][key]
            (folder / "decomposition.json").write_text(json.dumps(part))
            with self.assertRaisesRegex(bilens.InputError, rf"layers\[0\]\.{key}: expected a value, found none"):
                bilens.load(folder)

    def test_folders_that_hold_none(self):
        empty = pathlib.Path(FOLDER.name) / "nothing"
        empty.mkdir()
        for folder in (empty, empty / "missing"):
            with self.assertRaisesRegex(bilens.InputError, "a decomposition"):
                bilens.load(folder)
        half = pathlib.Path(FOLDER.name) / "half"
        gate, matrices = layer()
        bilens.decompose(gate, **matrices, k=2).save(half)
        (half / "layer_0.safetensors").write_bytes((half / "layer_0.safetensors").read_bytes()[:-8])
        with self.assertRaises(bilens.InputError):
            bilens.load(half)
        stranger = pathlib.Path(FOLDER.name) / "stranger"
        stranger.mkdir()
        (stranger / "notes.txt").write_text("mine")
        for overwrite in (False, True):
            with self.assertRaises(bilens.UsageError):
                bilens.decompose(gate, **matrices, k=2).save(stranger, overwrite=overwrite)
        self.assertEqual((stranger / "notes.txt").read_text(), "mine")


class Owned(unittest.TestCase):
    """Tensors of a result are the caller's, and results do not follow what the caller changes."""

    def test_writing_into_what_was_loaded(self):
        gate, matrices = layer()
        folder = pathlib.Path(FOLDER.name) / "written"
        made = bilens.decompose(gate, **matrices, k=2, out=folder)
        for found in (made, bilens.load(folder)):
            before = found.eigenvalues.clone()
            found.eigenvalues.neg_()
            self.assertTrue(torch.equal(found.eigenvalues, -before))
        self.assertTrue(torch.equal(bilens.load(folder).eigenvalues, before))

    def test_pickled_and_copied(self):
        gate, matrices = layer(biases=True)
        for method in ("eigen", "hosvd"):
            found = bilens.decompose(gate, **matrices, k=2, method=method)
            for other in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
                self.assertEqual(other.info, found.info)
                for name, tensor in found.tensors.items():
                    self.assertTrue(same_bits(other.tensors[name], tensor), name)
        one = bilens.BilinearLayer(gate.T, matrices["up"].T, matrices["down"].T, b_in=matrices["up_bias"])
        other = pickle.loads(pickle.dumps(one))
        x = torch.ones(3, 12)
        self.assertTrue(torch.equal(other(x), one(x)))
        self.assertTrue(torch.equal(other.B(), one.B()))

    def test_a_layer_alone(self):
        stack = torch.nn.Sequential(*(bilens.nn.BilinearMLP(6, 8) for _ in range(3)))
        found = bilens.decompose(stack, k=2)
        folder = pathlib.Path(FOLDER.name) / "stack"
        found.save(folder)
        x = torch.randn(4, 6)
        for whole in (found, bilens.load(folder)):
            layer = whole.layers[1]
            for other in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
                self.assertEqual((other.number, other.info, repr(other)), (1, layer.info, repr(layer)))
                self.assertEqual(other.tensors.keys(), layer.tensors.keys())
                for name, tensor in layer.tensors.items():
                    self.assertTrue(same_bits(other.tensors[name], tensor), name)
                self.assertTrue(torch.equal(other.truncate(2)(x), layer.truncate(2)(x)))
        first, last = pickle.loads(pickle.dumps([found.layers[0].truncate(1), found.layers[2]]))
        self.assertEqual((first.layer.number, first.k, last.number), (0, 1, 2))

    def test_no_call_leaves_work_for_the_garbage_collector(self):
        gate, matrices = layer()
        gc.collect()
        gc.disable()
        try:
            found = bilens.decompose(gate, **matrices, k=2)
            ended = weakref.ref(found.layers[0])
            self.assertEqual(found.info["layers"][0]["k"], 2)
            del found
            self.assertIsNone(ended())
        finally:
            gc.enable()

    def test_directions_are_not_followed(self):
        gate, matrices = layer()
        rows = torch.eye(5, dtype=torch.float64)[:2].contiguous()
        found = bilens.decompose(gate, **matrices, k=2, directions=rows, dtype="float64")
        rows.neg_()
        self.assertEqual(found.layers[0].directions[0, 0], 1)

    def test_modes_of_rounding_do_not_reach_the_work(self):
        gate, matrices = layer(d_in=96, d_hidden=256, d_out=4)

        def values():
            return bilens.decompose(gate, **matrices, k=5, solver="lanczos").eigenvalues

        plain = values()
        with torch.autocast("cpu", torch.bfloat16):
            self.assertTrue(torch.equal(values(), plain))
        with torch.device("meta"):
            self.assertTrue(torch.equal(values(), plain))
        try:
            torch.set_float32_matmul_precision("medium")
            self.assertTrue(torch.equal(values(), plain))
            self.assertEqual(torch.get_float32_matmul_precision(), "medium")
        finally:
            torch.set_float32_matmul_precision("highest")


class Damaged(unittest.TestCase):
    """A decomposition.json whose numbers cannot be is refused by their names."""

    def test_numbers_out_of_range(self):
        gate, matrices = layer()
        for method, changes in {
            "eigen": {"converged": 99, "certified": -1, "k": 99, "effective_rank": [99.0] * 5, "worst_residual": "NaN"},
            "hosvd": {"figures.squared_norm": -1, "figures.output.energy": 1.5, "figures.input.kept": -2},
            "joint": {"figures.full_energy": 1.2, "figures.off_diagonal": -0.5, "seconds": {"joint": -1}},
            "cp": {"figures.energy": 7, "figures.condition": -1, "figures.energy ": None, "d_in": -3},
        }.items():
            folder = pathlib.Path(FOLDER.name) / f"damaged {method}"
            settings = {"rank": 3} if method == "cp" else {}
            found = bilens.decompose(gate, **matrices, method=method, **({"cp": settings} if settings else {}))
            found.save(folder)
            file = folder / "decomposition.json"
            whole = json.loads(file.read_text())
            for place, value in changes.items():
                with self.subTest(f"{method}: {place}"):
                    damaged = copy.deepcopy(whole)
                    *path, key = place.split(".")
                    inside = damaged["layers"][0]
                    for name in path:
                        inside = inside[name]
                    if value is None:  # a key that nobody knows
                        inside[key] = value
                        file.write_text(json.dumps(damaged))
                        bilens.load(folder)
                        continue
                    inside[key] = value
                    file.write_text(json.dumps(damaged))
                    with self.assertRaisesRegex(bilens.InputError, f"decomposition.json: layers.*{key}|eigenvalues"):
                        bilens.load(folder)


class Refused(unittest.TestCase):
    def refuse(self, kind, words, *arguments, **keywords):
        with self.assertRaises(kind) as caught:
            bilens.decompose(*arguments, **keywords)
        error = caught.exception
        self.assertIsInstance(error, bilens.Error)
        self.assertRegex(str(error), words)
        self.assertTrue(error.problems)
        for text in (error.where, error.expected, error.found):
            self.assertTrue(text, error.problems)
        return error

    def test_shapes_and_numbers(self):
        gate, matrices = layer()
        up, down = matrices["up"], matrices["down"]
        self.refuse(bilens.InputError, r"up: expected shape \[20, 12\], found shape \[19, 12\]", gate, up[:-1], down)
        self.refuse(bilens.InputError, "down", gate, up, down[:, :-1])
        self.refuse(bilens.InputError, "shape", gate[0], up[0], down)
        self.refuse(bilens.InputError, "none, shape", gate[:, :0], up[:, :0], down)
        self.refuse(bilens.InputError, "finite", gate.clone().fill_(float("nan")), up, down)
        self.refuse(bilens.InputError, "finite", gate, up, down * float("inf"))
        self.refuse(
            bilens.InputError, "real|float", gate.to(torch.complex64), up.to(torch.complex64), down.to(torch.complex64)
        )
        self.refuse(bilens.InputError, "real|float", gate.int(), up.int(), down.int())
        self.refuse(bilens.InputError, "meta", gate.to("meta"), up, down)
        self.refuse(bilens.InputError, "dense", gate.to_sparse(), up, down)
        self.refuse(bilens.InputError, "real", np.array(["a"]), up, down)
        self.refuse(bilens.UsageError, "up", gate)
        self.refuse(bilens.UsageError, "NoneType", None)
        self.refuse(bilens.UsageError, "list", [[1.0]], up, down)
        self.refuse(bilens.UsageError, "both", {"gate_proj.weight": gate}, up)
        self.refuse(bilens.InputError, "none, shape", gate, up, down[:0])

    def test_settings(self):
        gate, matrices = layer()
        for words, keywords in {
            "k: expected": {"k": "ten"},
            "at least 1": {"k": 0},
            "method": {"method": "pca"},
            "Did you mean|unknown|k1": {"k1": 3},
            "device": {"device": "cuda:99"},
            "directions": {"directions": {"kind": "nonsense"}},
            "settings": {"k": object()},
            "activation: expected one of": {"activation": "sigmoid"},
        }.items():
            with self.subTest(words):
                self.refuse(bilens.UsageError, words, gate, **matrices, **keywords)
        self.refuse(bilens.UsageError, "or overwrite", gate, **matrices, out="x", resume=True, overwrite=True)
        for words, keywords in {
            "activation=": {"gate": "none"},
            "weights": {"weights": {"gate": "x"}},
            "resume: expected out=": {"resume": True},
            "overwrite: expected out=": {"overwrite": True},
            "analyses: expected out=": {"analyses": ["tokens"]},
            "NaN": {"tolerance": float("nan")},
            "layers: expected a list": {"layers": 1},
        }.items():
            with self.subTest(words):
                self.refuse(bilens.UsageError, words, gate, **matrices, **keywords)
        self.refuse(bilens.InputError, "none, shape", gate, **matrices, directions=torch.ones(0, 5))
        self.refuse(bilens.InputError, "directions.*shape", gate, **matrices, directions=torch.ones(2, 4))
        self.refuse(bilens.InputError, "finite", gate, **matrices, directions=torch.full((1, 5), float("nan")))

    def test_gated_layers_are_no_bilinear_ones(self):
        gate, matrices = layer()
        error = self.refuse(bilens.InputError, "bilinear", gate, **matrices, activation="silu")
        self.assertIn('surrogate="half"', error.fix)
        self.assertNotIn("--", error.fix)
        half = bilens.decompose(gate, **matrices, activation="silu", surrogate="half", k=2)
        whole = bilens.decompose(gate, **matrices, k=2)
        torch.testing.assert_close(half.eigenvalues * 2, whole.eigenvalues, rtol=1e-6, atol=0)
        self.assertEqual(half.info["surrogate"]["kind"], "half")

    def test_types_of_torch_are_settings(self):
        gate, matrices = layer()
        found = bilens.decompose(gate, **matrices, k=2, dtype=torch.float64, device=torch.device("cpu"))
        self.assertEqual(found.eigenvectors.dtype, torch.float64)
        self.refuse(bilens.UsageError, "settings: expected numbers, texts.*found object", gate, **matrices, k=object())

    def test_a_surrogate_of_bilinear_layers(self):
        mlp = bilens.nn.BilinearMLP(6, 8)
        plain = bilens.decompose(mlp, k=2)
        for kind in ("half", "calibrated"):
            with self.assertLogs("bilens", "WARNING") as log:
                found = bilens.decompose(mlp, surrogate=kind, k=2)
            self.assertIn("is bilinear", log.output[0])
            self.assertIsNone(found.info["surrogate"])
            self.assertTrue(found.eigenvalues.equal(plain.eigenvalues))

    def test_differences_of_models_of_other_depths(self):
        stacks = [torch.nn.Sequential(*(bilens.nn.BilinearMLP(6, 8) for _ in range(count))) for count in (2, 3)]
        self.refuse(bilens.InputError, "layer 2, as in Sequential, found none", stacks[0], minus=stacks[1])
        self.refuse(bilens.InputError, "layer 2, found none", stacks[1], minus=stacks[0])

    def test_what_a_decomposition_does_not_have(self):
        gate, matrices = layer()
        found = bilens.decompose(gate, **matrices, k=2)
        with self.assertRaisesRegex(bilens.UsageError, "certified_bound.*certify=True"):
            _ = found.certified_bound
        with self.assertRaisesRegex(bilens.UsageError, r"inputs \[\.\.\., 12\]"):
            found.layers[0].contributions(torch.ones(3, 11))
        self.assertEqual(found.layers[0].truncate(np.int64(2)).k, 2)
        for k in (-1, 3, True, 1.5):
            with self.assertRaisesRegex(bilens.UsageError, "k: expected"):
                found.layers[0].truncate(k)
        with self.assertRaisesRegex(bilens.UsageError, "direction: expected"):
            found.layers[0].contributions(torch.ones(3, 12), direction=5)


if __name__ == "__main__":
    unittest.main()
