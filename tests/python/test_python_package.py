"""The package itself: what importing it costs and asks for, its examples, its types, and what it is installed as."""

import ast
import doctest
import inspect
import re
import sys
import unittest

import torch

from bilens_cli import ROOT
from python_package import bilens, in_a_process

FACE = ROOT / "src/python/bilens"


class Import(unittest.TestCase):
    def test_costs_little_beside_torch(self):
        script = """
            import torch, time
            begin = time.process_time()
            import bilens
            print(time.process_time() - begin)
        """
        best = min(float(in_a_process(script).stdout) for _ in range(3))
        self.assertLess(best, 0.3)

    def test_refuses_another_torch(self):
        done = in_a_process("""
            import torch
            torch.__version__ = "1.2.3+cpu"
            try:
                import bilens
            except ImportError as error:
                print(error)
        """)
        self.assertRegex(
            done.stdout, r"expected torch \d+\.\d+\.\d+, which it was built with, found torch 1\.2\.3\. Install"
        )

    def test_beside_sentencepiece_in_either_order(self):
        try:
            import sentencepiece  # noqa: F401
        except ImportError:
            self.skipTest("no sentencepiece")
        for order in (("bilens", "sentencepiece"), ("sentencepiece", "bilens")):
            done = in_a_process(f"""
                import tempfile, pathlib
                import {order[0]}
                import {order[1]}
                folder = pathlib.Path(tempfile.mkdtemp())
                text = folder / "text.txt"
                text.write_text("one story about a cat\\n\\nanother quick brown fox jumps over the lazy dog\\n" * 200)
                bilens.train_tokenizer(f"text:{{text}}", vocabulary=290, out=folder / "tokenizer")
                processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer/tokenizer.model"))
                assert processor.decode(processor.encode("a cat")) == "a cat"
                options = dict(vocab_size=60, minloglevel=2, hard_vocab_limit=False)
                sentencepiece.SentencePieceTrainer.train(input=str(text), model_prefix=str(folder / "other"), **options)
                print("both")
            """)
            self.assertEqual(done.stdout, "both\n", done.stderr)


class Documents(unittest.TestCase):
    def test_examples(self):
        torch.manual_seed(0)
        finder = doctest.DocTestFinder(exclude_empty=True)
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
        names = {"bilens": bilens, "torch": torch}
        for module in [bilens, *(getattr(bilens, name) for name in dir(bilens) if name.startswith("_"))]:
            if inspect.ismodule(module) and hasattr(module, "__file__") and str(module.__file__).endswith(".py"):
                for test in finder.find(module, globs=dict(names)):
                    runner.run(test)
        self.assertGreater(runner.tries, 10)
        self.assertEqual(runner.failures, 0)

    def test_guide(self):
        guide = ROOT / "docs/guides/python.md"
        failed, tried = doctest.testfile(str(guide), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
        self.assertGreater(tried, 15)
        self.assertEqual(failed, 0)

    def test_commands_that_messages_name_are_functions(self):
        in_python, named = sys.modules["bilens._words"].in_python, set()
        for file in (ROOT / "src").rglob("*.cpp"):
            if file.relative_to(ROOT / "src").parts[0] not in ("cli", "report", "python"):
                named |= set(re.findall(r"`bilens [a-z][^`\"\n]*`", file.read_text()))
        self.assertGreater(len(named), 3)
        for words in named:
            found = re.fullmatch(r"`bilens\.(\w+)`", in_python(words))
            self.assertTrue(found and callable(getattr(bilens, found[1], None)), words)

    def test_every_public_name_says_what_it_does(self):
        for name in bilens.__all__:
            item = getattr(bilens, name)
            with self.subTest(name):
                self.assertTrue(inspect.getdoc(item))
                if inspect.isfunction(item):
                    self.assertIn("Example:", inspect.getdoc(item))
                    self.assertNotIn(inspect.Signature.empty, [item.__annotations__.get("return", None)])

    def test_stub_names_what_the_module_has(self):
        stub = ast.parse((FACE / "_bilens.pyi").read_text())
        native = sys.modules["bilens._bilens"]
        named = set()
        for node in stub.body:
            if isinstance(node, ast.ClassDef):
                named.add(node.name)
                members = {
                    item.name if isinstance(item, ast.FunctionDef) else item.target.id
                    for item in node.body
                    if isinstance(item, (ast.FunctionDef, ast.AnnAssign))
                }
                there = {key for key in vars(getattr(native, node.name)) if not key.startswith("_")}
                self.assertEqual(members - {"__init__"}, there, node.name)
            elif isinstance(node, ast.FunctionDef):
                named.add(node.name)
            elif isinstance(node, ast.AnnAssign):
                named.add(node.target.id)
        self.assertEqual(named, {key for key in vars(native) if not key.startswith("_")})


if __name__ == "__main__":
    unittest.main()
