"""Models that are bilinear in some of their layers: made by a budget or by numbers, and what commands do with them."""

# labels: slow

import json
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import run
from finetuning import FinetuneCase


class PartialConversion(FinetuneCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.partial = cls.case.folder / "partial"
        stages = [{"kind": "calibrate", "tokens": 4000, "layers": [1]}, {"kind": "settle"}]
        config = cls.config(cls.case, stages=stages)
        cls.finished = cls.case.check(run("finetune", config, "--out", cls.partial), 0)
        cls.model = cls.partial / "model"

    def config_of(self, model):
        return json.loads((model / "config.json").read_text())

    def test_the_config_has_each_layers_activation(self):
        config = self.config_of(self.model)
        self.assertEqual((config["hidden_act"], config["hidden_acts"]), ("by_layer", ["silu", "linear"]))
        self.assertIn("1 of 2 layers become bilinear", self.finished.stderr)

    def test_the_account_says_what_each_layer_costs(self):
        account = json.loads((self.partial / "finetune.json").read_text())["calibration"]
        self.assertEqual([layer["layer"] for layer in account["layers"]], [1])
        (cost,) = account["costs"]["layers"]
        self.assertEqual((cost["layer"], cost["together"]), (1, cost["alone"]))
        self.assertEqual(
            json.loads((self.partial / "calibrated/calibration.json").read_text())["costs"], account["costs"]
        )

    def test_a_budget_takes_the_cheapest_and_is_refused_below_its_cost(self):
        _, whole = self.finetune("whole", stages=[{"kind": "calibrate", "tokens": 4000}])
        costs = whole["calibration"]["costs"]["layers"]
        self.assertEqual(sorted(cost["layer"] for cost in costs), [0, 1])
        self.assertLessEqual(costs[0]["alone"], costs[1]["alone"])
        self.assertLess(costs[0]["together"], costs[1]["together"], "no budget would tell these apart")
        between = (costs[0]["together"] + costs[1]["together"]) / 2
        _, some = self.finetune("some", stages=[{"kind": "calibrate", "tokens": 4000, "budget": between}])
        self.assertEqual([layer["layer"] for layer in some["calibration"]["layers"]], [costs[0]["layer"]])
        self.assertLess(some["test"]["loss"], whole["test"]["loss"])
        none = {"kind": "calibrate", "tokens": 4000, "budget": max(0.0, costs[0]["together"] / 2)}
        message = self.check(run("finetune", self.config(stages=[none]), "--out", self.folder / "none"), 3).stderr
        self.assertIn(f"the cheapest layer, {costs[0]['layer']}", message)

    def test_layers_that_are_not_there_or_bilinear_already_are_refused(self):
        for layers, teacher, words in (([2], self.teacher, "below 2"), ([1], self.model, "bilinear already")):
            stages = [{"kind": "calibrate", "tokens": 4000, "layers": layers}]
            config = self.config(teacher=str(teacher), stages=stages)
            message = self.check(run("finetune", config, "--out", self.folder / "refused"), 2).stderr
            self.assertIn("stages[0].layers", message)
            self.assertIn(words, message)

    def test_a_second_run_converts_the_rest(self):
        stages = [{"kind": "calibrate", "tokens": 4000}]
        _, account = self.finetune("rest", teacher=str(self.model), stages=stages)
        self.assertEqual([layer["layer"] for layer in account["calibration"]["layers"]], [0])
        self.assertEqual(self.config_of(self.folder / "rest/model")["hidden_act"], "linear")

    def test_decompose_takes_the_bilinear_layers_and_says_so(self):
        out = self.folder / "decomposed"
        done = self.check(run("decompose", self.model, "--out", out, "--set", "k=2"), 0)
        self.assertIn("layers 0 of", done.stderr)
        self.assertEqual(sorted(file.name for file in out.glob("layer_*")), ["layer_1.safetensors"])
        about = json.loads((out / "decomposition.json").read_text())
        self.assertEqual(about["gate"], {"name": "none", "source": "config.json: hidden_acts"})
        self.assertIsNone(about["surrogate"])
        refused = self.check(run("decompose", self.model, "--out", self.folder / "no", "--set", "layers=[0]"), 2)
        self.assertIn("(1)", refused.stderr)

    def test_a_surrogate_stands_for_the_gated_layers_alone(self):
        out, plain = self.folder / "half", self.folder / "plain"
        self.check(run("decompose", self.model, "--out", out, "--set", "surrogate=half", "--set", "k=2"), 0)
        self.check(run("decompose", self.model, "--out", plain, "--set", "k=2"), 0)
        bilinear, same = load_file(out / "layer_1.safetensors"), load_file(plain / "layer_1.safetensors")
        for name, tensor in same.items():
            np.testing.assert_array_equal(bilinear[name], tensor)
        halved, config = self.folder / "halved", self.config_of(self.model)
        halved.mkdir()
        weights = load_file(self.model / "model.safetensors")
        for part in ("weight", "bias"):
            weights[f"model.layers.0.mlp.gate_proj.{part}"] *= 0.5
        self.write_model(halved, config | {"hidden_act": "linear", "hidden_acts": None}, weights)
        expected = self.folder / "expected"
        self.check(run("decompose", halved, "--out", expected, "--set", "k=2"), 0)
        np.testing.assert_allclose(
            load_file(out / "layer_0.safetensors")["eigenvalues"],
            load_file(expected / "layer_0.safetensors")["eigenvalues"],
            rtol=1e-5,
        )
        about = json.loads((out / "decomposition.json").read_text())
        self.assertIn("Layers 1 are bilinear", about["surrogate"]["meaning"])

    def write_model(self, folder, config, weights):
        (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
        save_file(weights, folder / "model.safetensors")

    def test_explanations_of_prompts_need_something_for_the_gated_layers(self):
        prompt = ("explain", self.model, "--prompt", "Once", "--logit", "5", "--out")
        self.assertIn("surrogate", self.check(run(*prompt, self.folder / "e"), 3).stderr)
        self.check(run(*prompt, self.folder / "e", "--surrogate", "half"), 0)
        found = json.loads((self.folder / "e/explanation.json").read_text())
        self.assertNotEqual(found["layers"][0]["remainder"], 0)
        self.assertEqual(found["layers"][1]["remainder"], 0)  # what it would be is missing in the sum
        self.assertAlmostEqual(found["sum"], found["logit"], delta=1e-4)

    def test_studies_of_tokens_and_text_know_the_whole_model(self):
        out, study = self.folder / "studies", {"tokens": 500, "loss_tokens": 200}
        flags = ["--set", 'analyses=["tokens", "corpus"]', "--set", "k=all", "--set", f"corpus={json.dumps(study)}"]
        data = ["--data", f"text,split=test:{self.text}"]
        self.check(run("decompose", self.model, "--out", out, *flags, *data), 0)
        (layer,) = json.loads((out / "study.json").read_text())["layers"]
        self.assertEqual((layer["layer"], layer["unembedding_is_own"]), (1, True))  # the last of two
        (corpus,) = json.loads((out / "corpus.json").read_text())["layers"]
        self.assertAlmostEqual(corpus["r2"][-1], 1, delta=1e-6)  # in front of it runs a gated layer

    def test_names_of_tensors_are_refused_beside_it(self):
        name = "weights.{}=model.layers.0.mlp.{}_proj.weight"
        flags = [word for part in ("gate", "up", "down") for word in ("--set", name.format(part, part))]
        self.check(run("decompose", self.model, "--out", self.folder / "x", *flags), 2, "some of whose layers")

    def test_minus_says_what_is_left_out(self):
        half = ["--set", "surrogate=half", "--out", self.folder / "m"]
        self.check(run("decompose", self.model, "--minus", self.teacher, *half), 0)
        self.finetune("rest2", teacher=str(self.model), stages=[{"kind": "calibrate", "tokens": 4000}])
        done = run("decompose", self.folder / "rest2/model", "--minus", self.model, "--out", self.folder / "m2")
        self.check(done, 3, "surrogate=half")

    def test_what_is_left_is_annealed(self):
        self.finetune("annealed", teacher=str(self.model), stages=["anneal", "settle"])
        self.assertEqual(self.config_of(self.folder / "annealed/model")["hidden_act"], "linear")
        before, after = (load_file(m / "model.safetensors") for m in (self.model, self.folder / "annealed/model"))
        name = "model.layers.{}.mlp.gate_proj.weight"
        sizes = [np.linalg.norm(after[name.format(i)]) / np.linalg.norm(before[name.format(i)]) for i in (0, 1)]
        self.assertLess(sizes[0], 0.75)  # its half alone is folded in
        self.assertGreater(sizes[1], 0.75)

    def test_a_config_whose_activations_do_not_fit_is_refused(self):
        wrong = self.folder / "wrong"
        wrong.mkdir()
        weights = load_file(self.model / "model.safetensors")
        for acts in (["silu"], ["silu", "gelu"], None):
            self.write_model(wrong, self.config_of(self.model) | {"hidden_acts": acts}, weights)
            for command in (("evaluate", wrong, "--data", f"text:{self.text}"), ("decompose", wrong, "--out", "x")):
                self.assertIn("hidden_acts", self.check(run(*command), 3).stderr)


if __name__ == "__main__":
    unittest.main()
