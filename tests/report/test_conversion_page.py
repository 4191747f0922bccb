"""The report of conversions in headless Chromium: what it cost, layer by layer, several runs together."""

import json
import unittest

from bilens_cli import TestCase, run
from language_models import write_llama
from pages import HOSTILE, InBrowser, assert_self_contained


def seen(loss, r2):
    return {"tokens": 1000, "loss": loss, "teacher_loss": 1.25, "divergence": 0.125, "agreement": 0.75, "layer_r2": r2}


def calibrated(error):
    figures = {"unit_r2": 0.5, "degenerate_units": 0, "error_scaled": 0.5, "error_refitted": error, "ridge": None}
    return figures | {"error": error, "sweeps": 0}


def with_units(error):
    return calibrated(error) | {"product_r2": 0.625, "error_lines": 0.75}


def write_conversion(folder, final=1.5, test=1.5625, converted=True, **account):
    """A run as `bilens finetune` leaves it, of a model with two layers."""
    (folder / "model").mkdir(parents=True)
    config = {
        "teacher": HOSTILE,
        "data": {"dataset": "text", "context": 32},
        "train": {"batch_size": 8, "steps": 40, "seed": 1},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "env.json").write_text(json.dumps({"version": "0.1.0"}))
    lines = [
        {
            "step": i + 1,
            "epoch": (i + 1) / 20,
            "loss": 3 - i / 40,
            "grad_norm": 1,
            "lr": 1e-3,
            "tokens_per_second": 1,
            "mfu": 0.1,
        }
        for i in range(40)
    ]
    for step, loss in ((20, 1.75), (40, final)):
        lines.append(
            {"step": step, "epoch": step / 20, "split": "validation", "tokens": 1000, "loss": loss, "perplexity": 4.5}
        )
        lines.append({"step": step, "epoch": step / 20, "split": "sample", "text": "Once " + HOSTILE})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "model/config.json").write_text(
        json.dumps(
            {
                "model_type": "llama",
                "hidden_size": 16,
                "num_hidden_layers": 2,
                "vocab_size": 320,
                "hidden_act": "linear",
            }
        )
    )
    (folder / "finetune.json").write_text(
        json.dumps(
            {
                "format": "bilens-finetune",
                "format_version": 1,
                "teacher": HOSTILE,
                "teacher_sha256": "0",
                "converted": converted,
                "calibration": {"tokens": 512, "layers": [calibrated(0.1), calibrated(0.2)]},
                "untrained": seen(2.0, [0.5, 0.25]),
                "teacher_parameters": 1000,
                "parameters": 2500,
                "trained_tokens": 10240,
                "epochs": 2.0,
                "validation": seen(final, [0.9, 0.8]),
                "test": seen(test, [0.9, 0.8]),
                "samples": {
                    "prompt": "Once",
                    "teacher": "Once a",
                    "untrained": "Once " + HOSTILE,
                    "finished": "Once c",
                },
            }
            | account
        )
    )
    return folder


class ConversionFiles(TestCase):
    def test_a_damaged_account_is_refused(self):
        folder = write_conversion(self.folder / "run")
        account = json.loads((folder / "finetune.json").read_text())
        for change, part in (
            ({"format": "other"}, "bilens-finetune"),
            ({"validation": {"tokens": 3}}, "layer_r2"),
            ({"converted": 3}, "converted"),
            ({"parameters": -1}, "parameters"),
            ({"test": seen("much", [1.0])}, "loss"),
        ):
            (folder / "finetune.json").write_text(json.dumps(account | change))
            self.check(run("report", folder, "--out", self.folder / "page.html"), 3, "finetune.json", part)
            self.assertFalse((self.folder / "page.html").exists())


class ConversionPage(InBrowser):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        runs = [write_conversion(cls.folder / name, final) for name, final in (("one", 1.5), ("two", 1.625))]
        continued = write_conversion(cls.folder / "continued", test=1.125, converted=False, parameters=1000)
        # What the original would not be compared with: a wider one, and another.
        wider = write_conversion(cls.folder / "wider", test=1.0, converted=False)
        another = write_conversion(
            cls.folder / "another", test=1.0, converted=False, parameters=1000, teacher_sha256="1"
        )
        units = write_conversion(cls.folder / "units", calibration={"tokens": 512, "layers": [with_units(0.1)] * 2})
        cls.page, cls.both, cls.beside, cls.new = (
            cls.folder / f"{name}.html" for name in ("one", "both", "beside", "new")
        )
        for directories, page in (
            ((units,), cls.new),
            (runs[:1], cls.page),
            (runs, cls.both),
            ((runs[0], wider, another, continued), cls.beside),
        ):
            done = run("report", *directories, "--out", page)
            assert done.returncode == 0, done.stderr
            assert_self_contained(page)

    def test_figures_come_from_the_account(self):
        self.visit(self.page)
        self.assertIn(HOSTILE, self.text(".lead"))
        self.assertIn("made bilinear", self.text(".lead"))
        self.assertIn("It has 2,500 parameters, the gated one 1,000.", self.text("#conversion-1"))
        self.assertEqual(self.texts(".figure-value"), ["1.563", "+0.313", "75.0%"])
        rows = self.cells("#conversion-1 [aria-label='The model beside its teacher'] tbody tr")
        self.assertEqual(
            rows[0], ["validation, before training", "1,000", "2.000", "1.250", "+0.750", "0.125", "75.0%"]
        )
        self.assertEqual([row[0] for row in rows], ["validation, before training", "validation", "test"])
        self.assertIn("nats a token", self.text("#training-1 .chart.drawn svg"))

    def test_what_units_gained_beside_lines(self):
        self.visit(self.page)
        table = "#conversion-1 [aria-label='The closed-form stage by layer']"
        heads = [head.strip() for head in self.texts(f"{table} thead th")]
        self.assertIn("Error with the lines", heads)
        self.assertNotIn("R² of the units", heads)  # of an earlier version
        self.visit(self.new)
        heads = [head.strip() for head in self.texts(f"{table} thead th")]
        (first, *_) = self.cells(f"{table} tbody tr")
        shown = dict(zip(heads, first))
        for head, value in (
            ("R² of the units", "0.625"),
            ("Error with lines", "0.750"),
            ("Error with the units", "0.500"),
        ):
            self.assertEqual(shown[head], value)

    def test_samples_before_and_after(self):
        self.visit(self.page)
        self.assertEqual(self.texts(".samples dd"), ["Once a", "Once " + HOSTILE, "Once c"])

    def test_what_each_layer_is_off_by(self):
        self.visit(self.page)
        titles = self.texts("#conversion-1 circle title")
        self.assertEqual(
            titles,
            [
                "layer 0, before training: 0.500",
                "layer 1, before training: 0.750",
                "layer 0, finished: 0.100",
                "layer 1, finished: 0.200",
            ],
        )

    def test_several_runs_against_their_tokens(self):
        self.visit(self.both)
        titles = self.texts(".together circle title")
        self.assertEqual(
            titles,
            [
                "one, 0 tokens: 2.000",
                "one, 5,120 tokens: 1.750",
                "one, 10,240 tokens: 1.500",
                "two, 0 tokens: 2.000",
                "two, 5,120 tokens: 1.750",
                "two, 10,240 tokens: 1.625",
            ],
        )
        self.assertIn("the teacher: 1.250", self.text(".together .legend"))
        self.assertIn("Above the teacher", self.text(".index thead"))

    def test_it_opens_with_how_far_the_model_is_from_the_original(self):
        self.visit(self.page)
        self.assertEqual(
            self.text(".converted"),
            "The converted model has a KL of 0.125 nats a token to the original, and the same likeliest next token in "
            "75.0% of all cases. R² of the residual stream behind each layer is 0.900, 0.800.",
        )

    def test_the_page_of_a_decomposition_opens_with_it_too(self):
        model, out, page = (self.folder / name for name in ("moved", "decomposition", "decomposition.html"))
        write_llama(model, layers=2)
        account = {
            "teacher": HOSTILE,
            "teacher_sha256": "0",
            "validation": seen(1.5, [0.9, 0.8]),
            "test": seen(1.5625, [0.9, 0.8]),
        }
        (model / "conversion.json").write_text(
            json.dumps({"format": "bilens-conversion", "format_version": 1, **account})
        )
        for command in (("decompose", model, "--out", out, "--set", "k=2"), ("report", out, "--out", page)):
            done = run(*command)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.visit(page)
        self.assertIn(
            "The converted model has a KL of 0.125 nats a token to the original, and the same likeliest next token in "
            "75.0% of all cases.",
            self.text(".converted"),
        )

    def test_beside_the_teacher_trained_on(self):
        self.visit(self.beside)
        heads = self.texts(".index thead th")
        rows = self.cells(".index tbody tr")
        place = [head.strip() for head in heads].index("Above the teacher trained further")
        self.assertEqual([row[place] for row in rows], ["+0.438", "–", "–", "–"])
        self.assertEqual(len(self.texts(".converted")), 1)
        self.visit(self.both)
        # Without such a run there is no such column.
        self.assertNotIn("Above the teacher trained further", self.text(".index thead"))

    def test_nothing_overflows_on_a_phone(self):
        with self.phone():
            for page in (self.page, self.both, self.beside):
                self.visit(page)
                self.assert_fits_a_phone()


if __name__ == "__main__":
    unittest.main()
