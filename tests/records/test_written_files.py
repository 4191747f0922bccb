"""Files that the program writes have the keys and tensors that `bilens schema files` tells of, and no others."""

import json
import re
import unittest

from safetensors import safe_open

from bilens_cli import run
from finetuning import FinetuneCase

FORMAT = {"format", "format_version"}
PAIRS = {"solver", "k", "worst_residual", "converged", "certified", "repaired", "effective_rank"}
DTYPES = {"F64": "float64", "F32": "float32", "I32": "int32", "I64": "int64", "U8": "uint8"}


class WrittenFiles(FinetuneCase):
    def setUp(self):
        super().setUp()
        described = self.document(self.check(run("schema", "files"), 0))["files"]
        self.described = {file["file"]: file for file in described}

    def check_object(self, keys, value, where, absent=()):
        """A key that may be null may be absent; `absent` names others, on any level."""
        by_name = {key["name"]: key for key in keys}
        self.assertEqual(set(value) - set(by_name), set(), where)
        required = {name for name, key in by_name.items() if not key["type"].endswith("or null")}
        self.assertEqual(required - set(value) - set(absent), set(), where)
        for name, inside in value.items():
            listed = inside if isinstance(inside, list) else [inside]
            for item in listed:
                if "keys" in by_name[name] and item is not None:
                    self.check_object(by_name[name]["keys"], item, f"{where}: {name}", absent)

    def check_value(self, name, value, absent=()):
        file = self.described[name]
        if "format" in file:
            self.assertEqual(
                (value.pop("format"), value.pop("format_version")), (file["format"], file["format_version"])
            )
        self.check_object(file["keys"], value, name, absent)

    def check_file(self, path, name=None, absent=()):
        value = json.loads(path.read_text())
        self.check_value(name or path.name, value, absent)
        return value

    def check_tensors(self, path, *names):
        """@param names: of the entries that tell of its tensors"""
        told = [tensor for name in names for tensor in self.described[name]["tensors"]]
        with safe_open(path, "np") as file:
            metadata = file.metadata()
            for name in names:
                entry = self.described[name]
                if "format" in entry:
                    told_format = (entry["format"], str(entry["format_version"]))
                    self.assertEqual((metadata["format"], metadata["format_version"]), told_format)
            left = set(file.keys())
            for tensor in told:
                # layer_N, class_C and term_I stand for a number each.
                pattern = re.sub(r"_[NCI]\b", r"_\\d+", re.escape(tensor["name"]))
                found = {name for name in file.keys() if re.fullmatch(pattern, name)}
                left -= found
                if not tensor["optional"]:
                    self.assertTrue(found, f"{path}: {tensor['name']}")
                for name in found:
                    stored = file.get_slice(name)
                    self.assertIn(DTYPES[stored.get_dtype()], tensor["dtype"], name)
                    self.assertEqual(len(stored.get_shape()), len([d for d in tensor["shape"].split(", ") if d]), name)
            self.assertEqual(left, set(), path)

    def decompose(self, model, name, *settings):
        out = self.folder / name
        sets = [part for text in settings for part in ("--set", text)]
        self.check(run("decompose", model, "--out", out, *sets), 0)
        return out

    def check_run(self, out):
        self.check_file(out / "env.json")
        for line in (out / "metrics.jsonl").read_text().splitlines():
            value = json.loads(line)
            kind = {None: "a step", "sample": "a sample"}.get(value.get("split"), "an evaluation")
            self.check_value(f"metrics.jsonl of {kind}", value)
        checkpoints = list(out.glob("checkpoints/*/trainer.json"))
        self.assertTrue(checkpoints)
        for path in checkpoints:
            self.check_file(path)

    def check_result(self, done, name):
        """What a run prints is a result and the figures of the run."""
        value, figures = self.document(done)["results"][0], self.described["figures of a run"]["keys"]
        self.check_object(self.described[name]["keys"] + figures, value, name)

    def test_of_an_image_classifier(self):
        config = self.small_config()
        done = self.check(run("train", config, "--out", self.folder / "run", "--json"), 0)
        self.check_result(done, "result of an image classifier")
        self.check_run(self.folder / "run")
        model = self.folder / "run/model"
        out = self.decompose(model, "eigen", "energy=exact")
        value = self.check_file(out / "decomposition.json")
        self.assertEqual(PAIRS - set(value["layers"][0]), set())
        self.check_tensors(out / "layer_0.safetensors", "layer_N.safetensors")
        self.check_file(out / "study.json", "study.json of images")
        self.check_tensors(out / "study.safetensors", "study.safetensors of images")
        for method in ("hosvd", "sparse_eigen", "rotate", "joint", "cp"):
            with self.subTest(method=method):
                self.check_method(self.decompose(model, method, f"method={method}"), method)
        self.check(run("explain", model, "--input", "test:1", "--out", self.folder / "why"), 0)
        self.check_file(self.folder / "why/explanation.json", "explanation.json of an image")
        self.check_tensors(self.folder / "why/explanation.safetensors", "explanation.safetensors of an image")

    def check_method(self, out, method):
        (layer,) = self.check_file(out / "decomposition.json", absent=PAIRS)["layers"]
        self.check_value(f"figures of {method}", layer["figures"])
        described, own = self.described["layer_N.safetensors"], f"layer_N.safetensors of {method}"
        pairs = [tensor for tensor in described["tensors"] if method == "rotate" or tensor["name"] == "directions"]
        self.described["beside"] = {**described, "tensors": pairs}
        self.check_tensors(out / "layer_0.safetensors", "beside", own)

    def test_of_a_conversion_and_what_is_found_in_it(self):
        done = self.check(
            run(
                "finetune", self.config(), "--out", self.folder / "run", "--json", "--set", 'train.sample.prompt="Once"'
            ),
            0,
        )
        self.check_result(done, "result of a conversion")
        self.check_run(self.folder / "run")
        self.check_file(self.folder / "run/finetune.json")
        self.check_tensors(self.folder / "run/test.safetensors", "test.safetensors")
        self.check_file(self.folder / "run/calibrated/calibration.json")
        model = self.folder / "run/model"
        self.check_file(model / "conversion.json")
        settings = ("corpus.tokens=2000", "corpus.loss_tokens=400", "k=4", 'analyses=["tokens", "corpus"]')
        out = self.decompose(model, "found", 'directions={"kind": "random", "count": 2, "seed": 0}', *settings)
        self.check_file(out / "decomposition.json")
        self.check_file(out / "study.json", "study.json of tokens")
        self.check_tensors(out / "study.safetensors", "study.safetensors of tokens")
        self.check_file(out / "corpus.json")
        self.check_tensors(out / "corpus.safetensors", "corpus.safetensors")
        self.check(run("explain", model, "--prompt", "Once", "--out", self.folder / "why"), 0)
        self.check_file(self.folder / "why/explanation.json", "explanation.json of a prompt")
        self.check_tensors(self.folder / "why/explanation.safetensors", "explanation.safetensors of a prompt")
        done = run("intervene", out, "--json", "--set", "layer=0", "--set", "tokens=300")
        self.check_value("result of an intervention", self.document(self.check(done, 0))["results"][0])

    def test_of_an_estimate(self):
        done = self.check(run("finetune", self.config(), "--out", self.folder / "run", "--dry-run", "--json"), 0)
        self.check_value("estimate of a dry run", self.document(done)["estimate"])


if __name__ == "__main__":
    unittest.main()
