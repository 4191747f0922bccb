"""What the tests of decomposed language models share."""

import json

from safetensors.numpy import load_file

from bilens_cli import TestCase, run

EXACT = ("--set", "dtype=float64", "--set", "k=all", "--set", "analyses=[]")


class DecompositionTest(TestCase):
    """Decomposes self.model, each time into a folder of its own, and reads what was written."""

    def setUp(self):
        super().setUp()
        self.model = self.folder / "model"
        self.runs = 0

    def decompose(self, *flags, directions=None, expect=0, model=None):
        """Runs into self.out; the JSON document."""
        self.runs += 1
        self.out = self.folder / f"out{self.runs}"
        if directions is not None:
            flags += ("--set", "directions=" + json.dumps(directions))
        done = run("decompose", model or self.model, "--out", self.out, "--json", *flags)
        self.check(done, expect)
        return self.document(done)

    def layer(self, number=0):
        return load_file(self.out / f"layer_{number}.safetensors")

    def description(self):
        return json.loads((self.out / "decomposition.json").read_text())

    def study(self):
        return json.loads((self.out / "study.json").read_text()), load_file(self.out / "study.safetensors")

    def message(self, *flags, expect=2, **options):
        return self.decompose(*flags, expect=expect, **options)["failures"][0]["message"]
