"""The report's section on factors, opened in headless Chromium."""

import json
import unittest

import bilens_cli
from classifiers import write_model
from pages import InBrowser, assert_self_contained

METHODS = {
    "hosvd": ["k=4"],
    "sparse_eigen": ["k=2", "sparse_eigen.sparsity=[8,32]", "sparse_eigen.starts=1"],
    "rotate": ["k=3"],
    "joint": ["k=4", "joint.starts=1"],
    "cp": ["cp.rank=5", "cp.starts=1", "cp.max_iterations=20"],
    "weighted": ["k=3", "weighting=data"],
}


class FactorsPage(InBrowser):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write_model(cls.folder / "model", d_model=12, d_hidden=12)
        cls.pages = {}
        for method, settings in METHODS.items():
            sets = [
                part
                for setting in (
                    f"method={method.replace('weighted', 'eigen')}",
                    'data={"dataset": "mnist-5k", "path": "data/mnist-5k"}',
                    *settings,
                )
                for part in ("--set", setting)
            ]
            for command in (
                ("decompose", cls.folder / "model", "--out", cls.folder / method, *sets),
                ("report", cls.folder / method, "--out", cls.folder / f"{method}.html"),
            ):
                done = bilens_cli.run(*command)
                assert done.returncode == 0, done.stderr
            cls.pages[method] = cls.folder / f"{method}.html"

    def cards(self):
        return self.ask("document.querySelectorAll('.factors li').length")

    def test_every_method_has_its_cards(self):
        expected = {"hosvd": 8, "sparse_eigen": 4, "rotate": 3, "joint": 4, "cp": 5, "weighted": 4}
        for method, count in expected.items():
            with self.subTest(method=method):
                assert_self_contained(self.pages[method])
                self.visit(self.pages[method])
                self.assertEqual(self.cards(), count)
                self.assertIn(
                    json.loads((self.folder / method / "decomposition.json").read_text())["layers"][0]["words"],
                    self.ask("document.querySelector('.factor-panel p').textContent"),
                )
                self.assertEqual(
                    self.ask("document.querySelectorAll('#eigenvectors-1').length"), int(method == "rotate")
                )

    def test_cp_terms_are_pictures_with_weights_of_the_classes(self):
        self.visit(self.pages["cp"])
        self.assertEqual(
            self.ask("[...document.querySelectorAll('.factors li:first-child figcaption')].map((c) => c.textContent)"),
            ["left", "right", "plus", "minus"],
        )
        self.assertEqual(self.ask("document.querySelectorAll('.factors li:first-child .weights rect').length"), 10)
        self.assertEqual(self.ask("document.querySelector('.factors canvas').width"), 28)
        self.assertIn("accuracy", self.ask("document.querySelector('.factor-panel p').textContent"))

    def test_another_class_has_other_vectors(self):
        self.visit(self.pages["sparse_eigen"])
        first = self.ask("document.querySelector('.factors li').textContent")
        self.ask("document.querySelectorAll('.factor-panel [role=tab]')[3].click()")
        self.assertEqual(self.cards(), 4)
        self.assertNotEqual(self.ask("document.querySelector('.factors li').textContent"), first)


if __name__ == "__main__":
    unittest.main()
