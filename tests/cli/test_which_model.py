"""Which model a path stands for, and what beside it counts."""

import json
import os
import shutil
import unittest

from bilens_cli import TestCase, run
from classifiers import write_model
from language_models import write_llama


class WhichModel(TestCase):
    def test_a_model_without_weights_is_not_the_one_in_a_folder_below(self):
        outer = self.folder / "outer"
        write_llama(outer / "model")
        (outer / "config.json").write_text(json.dumps({"model_type": "llama"}))
        self.check(run("decompose", outer, "--dry-run"), 3, f"{outer}: expected model.safetensors")

    def test_a_run_is_found_through_a_link_and_from_inside(self):
        model = self.small_model() / "model"
        link = self.folder / "link"
        link.symlink_to(model)
        for name in (link, f"{model}/", f"{model}/."):
            result = run("evaluate", name, "--json")
            self.assertEqual(self.document(self.check(result, 0))["results"][0]["examples"], 32)

    def test_an_index_that_does_not_name_the_file_does_not_count(self):
        model = self.folder / "model"
        write_llama(model)
        for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
            (model / index).write_text("{")
        weights = shutil.copy(model / "model.safetensors", self.folder / "other.safetensors")
        shutil.copy(model / "pytorch_model.bin.index.json", self.folder)
        self.check(
            run("decompose", weights, "--gate", "none", "--set", "fold_norm=false", "--out", self.folder / "out"), 0
        )

    def test_text_of_another_model_beside_it_is_no_decoder(self):
        """A vision model whose config has a Llama inside is decomposed, though no command runs it."""
        model = self.folder / "model"
        write_llama(model)
        inner = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({"model_type": "llava", "text_config": inner}))
        self.check(run("decompose", model, "--dry-run"), 0)


class GivenData(TestCase):
    def test_the_kind_of_data_is_asked_for(self):
        model = self.folder / "model"
        write_model(model)
        asked = run("decompose", model, "--dry-run", "--set", "data.path=data/mnist-5k")
        self.check(asked, 2, 'data.dataset: expected one of "mnist-5k"', "found none", "--set data.dataset=mnist-5k")

    def test_the_command_line_comes_before_the_config(self):
        model = self.folder / "model"
        write_model(model)
        data = json.dumps({"dataset": "mnist", "path": str(self.folder / "nowhere")})
        self.check(run("decompose", model, "--dry-run", "--set", f"data={data}"), 3, "nowhere")
        self.check(run("decompose", model, "--dry-run", "--set", f"data={data}", "--data", "mnist-5k"), 0)

    def test_data_of_another_kind_are_refused(self):
        model = self.folder / "model"
        write_model(model)
        data = json.dumps({"dataset": "text", "path": os.devnull})
        self.check(
            run("decompose", model, "--dry-run", "--set", f"data={data}"), 2, "for an image classifier", '"text"'
        )


if __name__ == "__main__":
    unittest.main()
