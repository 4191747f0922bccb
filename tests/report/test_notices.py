"""What qualifies the numbers of a report stands at its top: surrogates, norms and gates, differences, shifts."""

import json
import unittest

from safetensors.numpy import load_file

import bilens_cli
from checks import write_check
from example_run import SIDE, K, write_example
from language_models import write_llama
from pages import InBrowser

NORM = {"kind": "rms", "before": "post_attention_layernorm", "gain": "w", "behind": None, "source": "model_type llama"}


class Notices(InBrowser):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write_llama(cls.folder / "bilinear")
        write_llama(cls.folder / "gated", act="silu")
        write_example(cls.folder / "run")
        cls.decompose("bilinear", "plain")
        cls.decompose("bilinear", "traceless", "traceless=true")
        cls.decompose("gated", "half", "surrogate=half")

    @classmethod
    def decompose(cls, model, out, *settings):
        flags = [
            part
            for setting in (
                "k=3",
                "analyses=[]",
                'directions={"kind": "tokens", "plus": [40], "minus": [7]}',
                *settings,
            )
            for part in ("--set", setting)
        ]
        done = bilens_cli.run("decompose", cls.folder / model, "--out", cls.folder / out, *flags)
        assert done.returncode == 0, done.stderr

    def report(self, name, changes=None, drop=(), page="page.html"):
        """The page of a decomposition whose description is changed."""
        file = self.folder / name / "decomposition.json"
        before = file.read_text()
        changed = {key: value for key, value in (json.loads(before) | (changes or {})).items() if key not in drop}
        file.write_text(json.dumps(changed))
        done = bilens_cli.run("report", self.folder / name, "--out", self.folder / page)
        file.write_text(before)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.visit(self.folder / page)
        return self.texts(".notice")

    def test_a_surrogate_is_said_first(self):
        (notice,) = self.report("half", {"gate": {"name": "silu", "source": "config.json"}})
        for part in ("A surrogate", "P(½Wx ⊙ Vx)", "silu"):
            self.assertIn(part, notice)
        top = lambda selector: self.ask("document.querySelector(arguments[0]).getBoundingClientRect().top", selector)
        self.assertLess(top(".notice"), top(".lead"))
        self.assertEqual(self.report("plain", {"gate": {"name": "none", "source": "config.json"}}), [])

    def test_what_a_fitted_surrogate_is_worth(self):
        layer = {"layer": 0, "unit_r2": 0.5, "degenerate_units": 0}
        about = {"kind": "calibrated", "hidden_act": "silu", "meaning": "Near.", "data": {"path": "a.txt"}}
        about |= {"first_token": 200, "tokens": 100, "layers": [layer]}
        (notice,) = self.report("half", {"surrogate": about})  # of an earlier version
        self.assertIn(
            "The lines were fitted on 100 tokens of a.txt, from token 200 on. They explain at least 50.0%", notice
        )
        about |= {"held_out_tokens": 50}
        about["layers"] = [layer | {"product_r2": 0.75, "output_r2": 0.875, "line_output_r2": 0.625}]
        (notice,) = self.report("half", {"surrogate": about})
        self.assertIn(
            "The units were fitted on 100 tokens of a.txt, from token 200 on. On 50 other tokens R² of each layer’s "
            "output is 0.875. With a line az + b for each activation it would be 0.625.",
            notice,
        )

    def test_an_earlier_version_left_no_record(self):
        (notice,) = self.report("plain", drop=("gate",))
        self.assertIn("earlier version", notice)
        self.assertIn("decompose again", notice)
        # An image classifier's config says its gate, and it has no norm.
        self.assertEqual(self.report("run/model/decomposition", drop=("gate",)), [])

    def test_where_gate_and_norm_came_from(self):
        gate = {"name": "none", "source": "config.json: hidden_act"}
        self.report("plain", {"gate": gate, "norm": NORM, "fold_norm": True})
        about = self.text(".about")
        for part in (
            "no gate (config.json: hidden_act)",
            "RMS norm post_attention_layernorm (model_type llama)",
            "Its gain w is folded into the MLPs",
        ):
            self.assertIn(part, about)
        self.assertNotIn("Behind the MLPs", about)
        self.report(
            "plain",
            {
                "gate": gate,
                "norm": {**NORM, "behind": "post_feedforward_layernorm", "gain": "1 + w"},
                "fold_norm": False,
            },
        )
        about = self.text(".about")
        for part in (
            "not folded",
            "Behind the MLPs stands post_feedforward_layernorm",
            "For each token",
            "positive number",
            "not in the form",
        ):
            self.assertIn(part, about)
        self.report(
            "plain", {"gate": gate, "norm": {**NORM, "kind": "none", "before": None, "gain": None}, "fold_norm": True}
        )
        self.assertIn("No norm stands before the MLPs", self.text(".about"))

    def test_a_difference_names_both(self):
        (notice,) = self.report("plain", {"gate": {"name": "none", "source": ""}, "minus": "the/other"})
        self.assertIn("minus those of the/other", notice)

    def test_a_check_of_the_same_weights_is_said(self):
        folder = self.folder / "plain"
        weights = json.loads((folder / "decomposition.json").read_text())["model_sha256"]
        self.addCleanup((folder / "check.json").unlink)
        write_check(folder, weights)
        self.assertEqual(self.report("plain"), [])
        said = self.text(".checked")
        for part in (
            "Checked against transformers 5.0.1: in bfloat16 hidden states differ by at most 0.0050",
            "in float32 hidden states differ by at most 3.0×10⁻⁶ of their size",
            "the loss by 0.50 nats",
            "the tokens of a text are the same.",
        ):
            self.assertIn(part, said)
        write_check(folder, weights, passed=False, failures=["layer 1 differs."])
        (notice,) = self.report("plain")
        self.assertIn("Not what transformers computes.", notice)
        self.assertIn("layer 1 differs.", notice)
        write_check(folder, "0" * 64)
        self.assertEqual(self.report("plain"), [])
        self.assertEqual(self.texts(".checked"), [])

    def test_traceless_forms_state_their_shift(self):
        self.report("traceless")
        layer = load_file(self.folder / "traceless" / "layer_0.safetensors")
        self.assertIn("without their trace", self.text("#eigenvectors-1 header"))
        self.assertIn("add the shift", self.text(".spectrum .legend"))
        rows = dict(zip(self.texts(".numbers dt"), self.texts(".numbers dd")))
        shown = float(rows["λ with the trace"].replace("−", "-"))
        expected = layer["eigenvalues"][0, 0] + layer["shift"][0]
        self.assertAlmostEqual(shown, expected, delta=1e-3 * abs(expected))
        self.report("plain")
        self.assertNotIn("λ with the trace", self.texts(".numbers dt"))

    def test_a_single_layer_has_its_number_and_its_centring(self):
        self.report("run/model/decomposition")
        self.assertEqual(self.text("#eigenvectors-1 h4.layers"), "Layer 0, seen in pixels")
        self.assertIn("Scores are centred", self.text("#eigenvectors-1 header"))
        layers = json.loads((self.folder / "run/model/decomposition/decomposition.json").read_text())["layers"]
        self.report("run/model/decomposition", {"layers": [{**layers[0], "center": "none"}]})
        self.assertIn("Scores are not centred", self.text("#eigenvectors-1 header"))
        self.report("plain")
        self.assertIn("Token rows are centred", self.text("#eigenvectors-1 header"))

    def test_what_some_eigenvectors_leave_is_no_rounding(self):
        self.report("run/model/decomposition")
        said = self.text("#truncation-1 > .note")
        self.assertIn(f"rebuilt from {K} of {SIDE * SIDE} eigenvectors of each class", said)
        self.assertIn("what the others would add", said)
        self.assertNotIn("the sum is the layer:", said)
        # With all of them it is.
        done = bilens_cli.run("decompose", self.folder / "run", "--out", self.folder / "whole", "--set", "k=all")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.report("whole")
        said = self.text("#truncation-1 > .note")
        self.assertIn(f"With all {SIDE * SIDE} eigenvectors the sum is the layer", said)
        self.assertIn("rounding", said)


if __name__ == "__main__":
    unittest.main()
