"""Our safetensors files against the reference implementation, in both directions and byte for byte."""

import json

import numpy
import safetensors.numpy

from bilens_cli import TestCase, run


class ReferenceImplementation(TestCase):
    def test_what_we_write_is_what_the_reference_would_write(self):
        out = self.small_model(model={"d_model": 5, "d_hidden": 7, "n_layers": 12, "bias": True, "down_proj": True})
        files = sorted(out.rglob("*.safetensors"))
        # The model, and model and optimizer of two checkpoints; twelve layers sort as text, not by number.
        self.assertEqual(len(files), 5)
        for path in files:
            with self.subTest(path.name):
                tensors = safetensors.numpy.load_file(path)
                self.assertTrue(tensors)
                again = self.folder / "again"
                safetensors.numpy.save_file(tensors, again, metadata={"format": "pt"})
                self.assertEqual(path.read_bytes(), again.read_bytes())

    def test_what_the_reference_writes_we_read(self):
        dtypes = {
            numpy.dtype(d).name: numpy.arange(6, dtype=d).reshape(2, 3)
            for d in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1")
        }
        dtypes["bool"] = numpy.array([True, False])
        dtypes["scalar"] = numpy.array(2.0)
        dtypes["empty"] = numpy.zeros((0, 3), dtype="f4")
        path = self.folder / "all.safetensors"
        safetensors.numpy.save_file(dtypes, path)
        result = self.document(self.check(run("inspect", path, "--json"), 0))["results"][0]
        found = {t["name"]: t for t in result["tensors"]}
        self.assertEqual(set(found), set(dtypes))
        for name, array in dtypes.items():
            self.assertEqual(found[name]["shape"], list(array.shape))
            self.assertEqual(found[name]["parameters"], array.size)
        self.assertEqual(result["parameters"], sum(a.size for a in dtypes.values()))
        self.assertEqual(result["bytes"], sum(a.nbytes for a in dtypes.values()))

    def test_the_metadata_is_kept_apart(self):
        path = self.folder / "m.safetensors"
        safetensors.numpy.save_file({"a": numpy.zeros(1, dtype="f4")}, path, metadata={"k": "v" * 1000, "é": "\n"})
        result = self.document(self.check(run("inspect", path, "--json"), 0))["results"][0]
        self.assertEqual(json.dumps([t["name"] for t in result["tensors"]]), '["a"]')
