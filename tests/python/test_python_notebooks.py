"""The notebooks as they are stored: scripts/notebooks.py finds no fault in them, and finds those that a change makes.
.ci/run sees that their code runs."""

import copy
import pathlib
import sys
import tempfile
import unittest

import nbformat

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))

import notebooks  # noqa: E402


class Stored(unittest.TestCase):
    def setUp(self):
        self.paths = sorted(notebooks.FOLDER.glob("*.ipynb"))
        self.assertTrue(self.paths)

    def test_nothing_is_wrong(self):
        for path in self.paths:
            with self.subTest(path.name):
                self.assertEqual(list(notebooks.faults_of(path, nbformat.read(path, as_version=4))), [])

    def test_faults_are_found(self):
        def code(notebook):
            return next(cell for cell in notebook.cells if cell.cell_type == "code")

        def output(notebook, **fields):
            code(notebook).outputs.append(nbformat.v4.new_output(**fields))

        changes = {
            "of other code": lambda n: code(n).update(source="1 + 1"),
            "not all of its cells ran": lambda n: code(n).update(execution_count=None),
            "an error or a warning": lambda n: output(n, output_type="stream", name="stderr", text="Warning"),
            "names a folder of the machine": lambda n: output(n, output_type="stream", text="/home/me/file"),
            "bytes, and at most": lambda n: output(n, output_type="stream", text="x" * notebooks.MOST_BYTES),
        }
        whole = nbformat.read(self.paths[0], as_version=4)
        for words, change in changes.items():
            with self.subTest(words), tempfile.TemporaryDirectory() as folder:
                changed = copy.deepcopy(whole)
                change(changed)
                path = pathlib.Path(folder) / "changed.ipynb"
                nbformat.write(changed, path)
                (fault,) = notebooks.faults_of(path, nbformat.read(path, as_version=4))
                self.assertIn(words, fault)

    def test_a_check_takes_the_small_values(self):
        for path in self.paths:
            with self.subTest(path.name):
                notebook = nbformat.read(path, as_version=4)
                for name, value in notebooks.made_small(notebook).metadata.get("small", {}).items():
                    self.assertIn(f"\n{name} = {value!r}\n", "\n" + "\n".join(notebooks.code_of(notebook)) + "\n")


if __name__ == "__main__":
    unittest.main()
