"""Models and weight files that must be refused: by `inspect` and `evaluate`, alone and in a batch."""

import json
import shutil
import struct

from safetensors.numpy import save_file

from bilens_cli import TestCase, run, safetensors_bytes
from language_models import write_llama


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


class BadWeights(TestCase):
    """A single file, as `inspect` sees it."""

    def refuse(self, content, *parts, name="w.safetensors"):
        path = self.write(name, content)
        self.check(run("inspect", path), 3, name, *parts)
        document = self.document(self.check(run("inspect", path, "--json"), 3))
        self.assertEqual(document["results"], [])
        self.assertEqual(document["failures"][0]["code"], 3)
        self.assertIn(parts[0], document["failures"][0]["message"])

    def test_header_length(self):
        good = safetensors_bytes({"a": entry([1], 0, 4)}, b"1234")
        for size in (0, 1, 2**63, 2**64 - 1, len(good) - 7):
            self.refuse(size.to_bytes(8, "little") + good[8:], "at byte 0")

    def test_header_is_no_json_object(self):
        self.refuse(safetensors_bytes([]), "at byte 8")
        self.refuse(safetensors_bytes(b"{nonsense"), "valid JSON")
        self.refuse(safetensors_bytes(b'{"a":' * 100000), "levels of nesting")
        self.refuse(safetensors_bytes({"a": 3}), "dtype, shape and data_offsets")

    def test_offsets(self):
        for second, data in ((entry([1], 2, 6), 6), (entry([1], 5, 9), 9), (entry([1], 8, 4), 8)):
            self.refuse(safetensors_bytes({"a": entry([1], 0, 4), "b": second}, bytes(data)), "b")

    def test_shape(self):
        self.refuse(safetensors_bytes({"a": entry([2**62, 4], 0, 0)}), "fits into memory")
        self.refuse(safetensors_bytes({"a": entry([3], 0, 8)}, bytes(8)), "12 bytes")
        self.refuse(safetensors_bytes({"a": entry([-1], 0, 4)}, bytes(4)), "non-negative")

    def test_dtype(self):
        self.refuse(safetensors_bytes({"a": entry([1], 0, 4, "F33")}, bytes(4)), "F33", "known dtype")

    def test_truncated_and_trailing(self):
        good = safetensors_bytes({"a": entry([2], 0, 8)}, bytes(8))
        self.refuse(good[:-1], "truncated")
        self.refuse(good + b"\0", "bytes behind the last tensor")
        self.refuse(b"", "0 bytes")

    def test_impostors(self):
        self.refuse(
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n", "Git-LFS pointer", "git lfs pull"
        )
        self.refuse("<!DOCTYPE html>\n<html>Not Found</html>", "HTML page")
        self.refuse(b"PK\x03\x04" + bytes(40), "zip archive", name="pytorch_model.bin")

    def test_a_valid_file(self):
        """What is refused above is refused for its fault alone."""
        path = self.write("w.safetensors", safetensors_bytes({"a": entry([2], 0, 8)}, bytes(8)))
        result = self.document(self.check(run("inspect", path, "--json"), 0))["results"][0]
        self.assertEqual(result["tensors"], [{"name": "a", "dtype": "float32", "shape": [2], "parameters": 2}])

    def test_nothing_there(self):
        self.check(run("inspect", self.folder / "none"), 3, "nothing there")
        self.check(run("inspect", self.folder), 3, "a folder without a model")
        self.check(run("evaluate", self.folder / "*.nothing"), 3, "nothing there")

    def test_a_link_is_followed_and_a_broken_one_named(self):
        self.write("blobs/1", safetensors_bytes({"a": entry([1], 0, 4)}, bytes(4)))
        (self.folder / "hub").mkdir()
        link = self.folder / "hub/model.safetensors"
        link.symlink_to("../blobs/1")
        self.check(run("inspect", self.folder / "hub"), 0)
        (self.folder / "blobs/1").unlink()
        self.check(run("inspect", self.folder / "hub"), 3, str(self.folder / "hub"))


class BadShards(TestCase):
    def shards(self, weight_map=None):
        for number, name in (("1", "a"), ("2", "b")):
            self.write(f"m/model-{number}.safetensors", safetensors_bytes({name: entry([1], 0, 4)}, bytes(4)))
        weight_map = weight_map or {"a": "model-1.safetensors", "b": "model-2.safetensors"}
        self.write("m/model.safetensors.index.json", json.dumps({"weight_map": weight_map}))
        return self.folder / "m"

    def test_whole(self):
        result = self.document(self.check(run("inspect", self.shards(), "--json"), 0))["results"][0]
        self.assertEqual([t["name"] for t in result["tensors"]], ["a", "b"])

    def test_missing_shard(self):
        model = self.shards()
        (model / "model-2.safetensors").unlink()
        self.check(run("inspect", model), 3, "model-2.safetensors")

    def test_extra_tensor_and_wrong_shard(self):
        self.check(
            run("inspect", self.shards({"a": "model-1.safetensors", "c": "model-2.safetensors"})),
            3,
            "c:",
            "in no shard",
        )
        self.check(
            run("inspect", self.shards({"a": "model-2.safetensors", "b": "model-1.safetensors"})),
            3,
            "as the index says",
        )
        model = self.shards()
        self.write("m/model-1.safetensors", safetensors_bytes({"a": entry([1], 0, 4), "x": entry([1], 4, 8)}, bytes(8)))
        self.check(run("inspect", model), 3, "x:", "listed in the index")

    def test_names_that_leave_the_folder(self):
        for name in ("../model-1.safetensors", "/etc/passwd", "..", "a/b.safetensors"):
            self.check(run("inspect", self.shards({"a": name})), 3, "weight_map.a", "outside its folder")


class BadModels(TestCase):
    """A trained model with one thing wrong, as `evaluate` sees it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.share_a_folder()
        cls.trained = cls.case.small_model()
        cls.data = f"mnist:{cls.case.folder / 'data'}"

    def copy(self, name="model"):
        return shutil.copytree(self.trained / "model", self.folder / name)

    def refuse(self, model, *parts):
        result = run("evaluate", model, "--data", self.data)
        self.check(result, 3, *parts)
        self.assertEqual(result.stdout, "")

    def set_config(self, model, **changes):
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, **changes}))

    def rewrite(self, model, change):
        """Applies `change` to {name: (entry, bytes)} of the weights."""
        content = (model / "model.safetensors").read_bytes()
        size = int.from_bytes(content[:8], "little")
        header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
        header.pop("__metadata__", None)
        tensors = {name: (e, data[slice(*e["data_offsets"])]) for name, e in header.items()}
        change(tensors)
        header, data = {}, b""
        for name, (e, chunk) in tensors.items():
            header[name] = {**e, "data_offsets": [len(data), len(data) + len(chunk)]}
            data += chunk
        (model / "model.safetensors").write_bytes(safetensors_bytes(header, data))

    def test_numbers_that_are_none(self):
        for value in ("nan", "inf"):
            model = self.copy(value)
            self.rewrite(
                model,
                lambda tensors: tensors.update(
                    {
                        name: (e, struct.pack("<f", float(value)) + chunk[4:])
                        for name, (e, chunk) in tensors.items()
                        if name == "head.weight"
                    }
                ),
            )
            self.refuse(model, "head.weight", "NaN or infinity")
            self.check(run("compare", model, self.trained / "model", "--data", self.data), 3, "head.weight")
            self.check(run("explain", model, "--input", "test:0", "--data", self.data), 3, "head.weight")
            language = self.folder / f"language-{value}"
            weights = write_llama(language)
            weights["model.norm.weight"][3] = float(value)
            save_file({name: tensor.astype("f4") for name, tensor in weights.items()}, language / "model.safetensors")
            self.check(run("convert", language, self.folder / "out"), 3, "model.norm.weight", "NaN or infinity")
            self.assertFalse((self.folder / "out").exists())
            tokens = self.write("tokens.bin", bytes([5, 0]) * 1000)
            self.check(run("evaluate", language, "--data", f"tokens:{tokens}"), 3, "model.norm.weight")

    def test_as_it_is(self):
        model = self.copy()
        self.rewrite(model, lambda tensors: None)
        self.check(run("evaluate", model, "--data", self.data), 0)

    def test_missing_extra_mis_shaped_tensor(self):
        model = self.copy("missing")
        self.rewrite(model, lambda tensors: tensors.pop("layers.0.mlp.up_proj.weight"))
        self.refuse(model, "a tensor named layers.0.mlp.up_proj.weight")
        model = self.copy("no_head")
        self.rewrite(model, lambda tensors: tensors.pop("head.weight"))
        self.refuse(model, "a tensor named head.weight")
        model = self.copy("extra")
        self.rewrite(model, lambda tensors: tensors.update(extra=tensors["head.weight"]))
        self.refuse(model, "also extra")
        model = self.copy("shape")
        self.rewrite(model, lambda tensors: tensors["embed.weight"][0].update(shape=[16, 4]))
        self.refuse(model, "embed.weight: expected shape [4, 16]", "found shape [16, 4]")

    def test_config(self):
        for changes, *parts in (
            ({"d_hidden": 5}, "config.json: d_hidden", "down_proj is false"),
            ({"n_layers": 2}, "layers.1.mlp.gate_proj.weight"),
            ({"d_model": "4"}, "config.json: d_model", "an integer"),
            ({"format_version": 2}, "format_version", "found 2"),
            ({"model_type": "gpt2"}, "model_type", '"gpt2"'),
            ({"d_modle": 4}, 'Did you mean "d_model"?'),
            ({"d_hidden": 2**20, "d_model": 2**20}, "embed.weight"),
            ({"image_shape": [3, 3]}, "image_shape", "product 16"),
        ):
            with self.subTest(changes):
                model = self.copy("changed")
                self.set_config(model, **changes)
                self.refuse(model, *parts)
                shutil.rmtree(model)

    def test_incomplete_directories(self):
        model = self.copy("no_weights")
        (model / "model.safetensors").unlink()
        self.refuse(model, "model.safetensors")
        model = self.copy("no_config")
        (model / "config.json").unlink()
        self.refuse(model, "config.json")
        model = self.copy("pointer")
        (model / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
        self.refuse(model, "Git-LFS pointer")

    def test_data_of_another_shape(self):
        self.check(run("evaluate", self.copy(), "--data", "mnist-5k"), 3, "16 pixels", "784 pixels")

    def test_without_data(self):
        self.check(run("evaluate", self.copy()), 2, "Give --data")
        self.check(run("evaluate", self.copy("again"), "--data", "mnits"), 2, 'Did you mean "mnist"?')

    def test_a_batch_goes_on_past_bad_models(self):
        batch = self.folder / "batch"
        for i in range(20):
            self.copy(f"batch/m{i:02}")
        bad = {3: "", 11: "x" * 40, 17: None}
        for i, content in bad.items():
            weights = batch / f"m{i:02}/model.safetensors"
            weights.unlink() if content is None else weights.write_text(content)
        result = run("evaluate", batch, "--data", self.data)
        self.check(result, 3)
        self.assertIn("17 of 20 models done, failed:", result.stdout)
        document = self.document(self.check(run("evaluate", batch / "m*", "--data", self.data, "--json"), 3))
        self.assertEqual(len(document["results"]), 17)
        self.assertEqual([f["model"] for f in document["failures"]], [str(batch / f"m{i:02}") for i in bad])
        for i in bad:
            self.assertIn(str(batch / f"m{i:02}"), result.stdout)
        self.assertEqual(len({r["accuracy"] for r in document["results"]}), 1)
