"""`bilens decompose --overwrite` replaces a decomposition as a whole, and nothing else."""

import json
import shutil
import unittest

from bilens_cli import TestCase, files_below, run, start, stop, wait_for
from classifiers import write_model

SETTINGS = ("--set", "analyses=[]", "--threads", 1)


class Overwrite(TestCase):
    def setUp(self):
        super().setUp()
        self.model, self.out = self.folder / "model", self.folder / "out"
        write_model(self.model, n_layers=2, d_model=6, d_hidden=6)
        self.decompose()

    def decompose(self, *flags, expect=0):
        return self.check(run("decompose", self.model, "--out", self.out, *SETTINGS, *flags), expect)

    def description(self):
        return json.loads((self.out / "decomposition.json").read_text())

    def test_a_second_one_offers_it(self):
        before = files_below(self.out)
        for word in ("--resume", "--overwrite", "--out"):
            self.assertIn(word, self.decompose("--set", "k=3", expect=2).stderr)
        self.assertEqual(files_below(self.out), before)

    def test_the_new_one_takes_the_place_of_the_old(self):
        done = self.decompose("--set", "k=3", "--set", "layers=[1]", "--overwrite", "--json")
        self.assertEqual(self.document(done)["results"][0]["out"], str(self.out))
        self.assertEqual([layer["k"] for layer in self.description()["layers"]], [3])
        self.assertEqual(set(files_below(self.out)), {"decomposition.json", "layer_1.safetensors"})
        self.assertEqual([path.name for path in self.folder.iterdir() if "partial" in path.name], [])

    def test_a_new_folder_needs_no_replacing(self):
        shutil.rmtree(self.out)
        self.decompose("--overwrite")
        self.assertTrue((self.out / "decomposition.json").exists())

    def test_the_old_one_stays_where_the_new_one_fails(self):
        before = files_below(self.out)
        self.decompose("--overwrite", "--set", "layers=[9]", expect=2)
        self.decompose(
            "--overwrite",
            "--set",
            "directions.kind=file",
            "--set",
            "directions.path=nowhere",
            "--set",
            "directions.tensor=u",
            expect=3,
        )
        self.assertEqual(files_below(self.out), before)
        process = start(
            "decompose",
            self.model,
            "--out",
            self.out,
            *SETTINGS,
            "--overwrite",
            env={"BILENS_TEST_WRITE_DELAY_MS": 300},
        )
        wait_for(lambda: any("partial" in path.name for path in self.folder.iterdir()), process=process)
        stop(process)
        self.assertEqual(
            {name: content for name, content in files_below(self.out).items() if name != ".bilens-lock"}, before
        )
        self.decompose("--overwrite", "--set", "k=2")
        self.assertEqual(self.description()["layers"][0]["k"], 2)

    def test_files_of_others_are_never_touched(self):
        for name, content in (
            ("notes.txt", b"mine"),
            ("layer_7.safetensors", b"not a tensor file"),
            ("sub/file", b"mine"),
            ("report.html", b"a page"),
        ):
            path = self.out / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            before = files_below(self.out)
            self.assertIn(name.split("/")[0], self.decompose("--overwrite", expect=2).stderr)
            self.assertEqual(files_below(self.out), before)
            shutil.rmtree(path.parent) if path.parent != self.out else path.unlink()
        (self.out / "decomposition.json").write_text('{"format": "something else"}')
        self.assertIn("decomposition.json", self.decompose("--overwrite", expect=2).stderr)

    def test_a_folder_of_something_else_is_not_offered(self):
        shutil.rmtree(self.out)
        self.out.mkdir()
        (self.out / "study.json").write_text("{}")
        self.assertNotIn("--overwrite", self.decompose(expect=2).stderr)
        self.assertIn("no layer of one", self.decompose("--overwrite", expect=2).stderr)
        self.assertEqual(files_below(self.out), {"study.json": b"{}"})

    def test_not_together_with_resume(self):
        self.assertIn("both", self.decompose("--overwrite", "--resume", expect=2).stderr)


if __name__ == "__main__":
    unittest.main()
