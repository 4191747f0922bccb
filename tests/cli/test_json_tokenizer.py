"""Every command on a model with the tokenizer.json that `bilens tokenizer train --kind byte-level` has made."""

import json
import shutil

from bilens_cli import DEVICE, files_below, run
from language_models import write_llama
from texts import TextCase, stories

LARGE = 320


class JsonTokenizer(TextCase):
    vocabulary_size = 290

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.byte_level = cls.case.folder / "byte-level"
        cls.case.check(cls.train_tokenizer(cls.text, cls.byte_level), 0)
        cls.model = cls.case.folder / "model"
        write_llama(cls.model, vocabulary=LARGE, act="silu")
        cls.put_tokenizer(cls.model)

    @staticmethod
    def train_tokenizer(text, out, vocabulary=LARGE):
        return run(
            *("tokenizer", "train", "--kind", "byte-level", "--data", f"text:{text}"),
            *("--vocabulary", vocabulary, "--out", out),
        )

    @classmethod
    def put_tokenizer(cls, folder):
        for file in cls.byte_level.iterdir():
            shutil.copy(file, folder / file.name)

    def result(self, *command):
        return self.document(self.check(run(*command, "--json"), 0))["results"][0]

    def test_training_writes_the_same_again_and_says_what_the_text_gives(self):
        self.assertEqual(sorted(files_below(self.byte_level)), ["tokenizer.json", "tokenizer_config.json"])
        self.check(self.train_tokenizer(self.text, self.folder / "again"), 0)
        self.assertEqual(files_below(self.byte_level), files_below(self.folder / "again"))
        model = json.loads((self.byte_level / "tokenizer.json").read_text())["model"]
        self.assertEqual(sorted(model["vocab"].values()), list(range(LARGE)))
        self.assertEqual(len(model["merges"]), LARGE - 258)
        self.assertIn("Ġthe", model["vocab"])
        little = self.write("little.txt", "ab ab ab")
        failed = self.check(self.train_tokenizer(little, self.folder / "little"), 2)
        self.assertIn("at most 260, all that the text gives, found 320", failed.stderr)
        self.assertFalse((self.folder / "little").exists())

    def test_a_model_is_trained_with_it_and_keeps_it(self):
        model = {"type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
        model |= {"num_attention_heads": 2, "hidden_act": "silu", "max_position_embeddings": 64}
        data = {"dataset": "text", "path": str(self.text), "tokenizer": str(self.byte_level), "context": 32}
        train = {"steps": 60, "batch_size": 16, "learning_rate": 1e-2}
        config = {"model": model, "data": data, "train": train, "device": DEVICE}
        self.check(run("train", self.write("train.json", json.dumps(config)), "--out", self.folder / "run"), 0)
        trained = self.folder / "run/model"
        kept = {name: content for name, content in files_below(trained).items() if name.startswith("tokenizer")}
        self.assertEqual(kept, files_below(self.byte_level))
        written = json.loads((trained / "config.json").read_text())
        self.assertEqual((written["vocab_size"], written["bos_token_id"]), (LARGE, 0))
        stages = [{"kind": "calibrate", "tokens": 2000}, {"kind": "settle"}]
        tuned = {"teacher": str(trained), "data": {"dataset": "text", "path": str(self.text), "context": 32}}
        tuned |= {"stages": stages, "train": {"steps": 5, "batch_size": 8}, "device": DEVICE}
        self.check(run("finetune", self.write("tune.json", json.dumps(tuned)), "--out", self.folder / "tuned"), 0)
        after = files_below(self.folder / "tuned/model")
        self.assertEqual({name: after[name] for name in kept}, kept)
        self.check(run("convert", trained, self.folder / "converted"), 0)
        after = files_below(self.folder / "converted")
        self.assertEqual({name: after[name] for name in kept}, kept)

    def test_text_is_continued(self):
        found = self.result("generate", self.model, "--prompt", "the cat", "--max-tokens", 12, "--temperature", 0)
        self.assertTrue(found["text"].startswith("the cat"))  # without <s>
        self.assertEqual(len(found["tokens"]), 12)

    def test_a_normalizer_that_replaces_does_so(self):
        tokenizer = json.loads((self.byte_level / "tokenizer.json").read_text())
        tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": "dog"}, "content": "cat"}
        file = self.write("replacing.json", json.dumps(tokenizer))
        flags = ("--max-tokens", 12, "--temperature", 0, "--tokenizer", file)
        found, expected = (self.result("generate", self.model, "--prompt", "the " + x, *flags) for x in ("dog", "cat"))
        self.assertEqual((found["text"], found["tokens"]), (expected["text"], expected["tokens"]))

    def test_text_is_evaluated_as_ids_are(self):
        text = self.write("some.txt", stories(30, seed=3))
        by_text = self.result("evaluate", self.model, "--data", f"text:{text}", "--context", 32)
        self.assertGreater(by_text["tokens"], 500)
        lone = self.folder / "lone.json"
        shutil.copy(self.byte_level / "tokenizer.json", lone)
        bare = self.folder / "bare"
        shutil.copytree(self.model, bare, ignore=shutil.ignore_patterns("tokenizer*"))
        named = self.result("evaluate", bare, "--data", f"text:{text}", "--context", 32, "--tokenizer", lone)
        self.assertEqual((named["loss"], named["tokens"]), (by_text["loss"], by_text["tokens"]))
        failed = self.check(run("evaluate", bare, "--data", f"text:{text}"), 3)
        self.assertIn("Put the model's tokenizer.model or tokenizer.json beside its weights.", failed.stderr)

    def test_tokens_are_named_by_words_and_shown_readably(self):
        command = ("explain", self.model, "--prompt", "the cat", "--surrogate", "half", "--out")
        for number, (plus, minus) in enumerate(((" cat", " dog"), ("▁cat", "▁dog"), ("Ġcat", "Ġdog"))):
            found = self.check(run(*command, self.folder / f"e{number}", "--logit", plus, "--minus", minus), 0)
            self.assertIn("logit of ▁cat minus ▁dog", found.stdout)
            self.assertNotIn("Ġ", found.stdout)
        written = (self.folder / "e0/explanation.json").read_text()
        self.assertIn("▁cat", written)
        self.assertNotIn("Ġ", written)
        failed = self.check(run(*command, self.folder / "no", "--logit", "catdog"), 2)
        self.assertIn("expected one token", failed.stderr)

    def test_a_decomposition_is_studied(self):
        direction = {"kind": "tokens", "plus": [" cat"], "minus": [" dog"]}
        settings = {"surrogate": "half", "layers": [1], "directions": direction, "analyses": ["tokens", "corpus"]}
        flags = [f for key, value in settings.items() for f in ("--set", f"{key}={json.dumps(value)}")]
        out = self.folder / "d"
        found = self.check(run("decompose", self.model, *flags, "--data", f"text:{self.text}", "--out", out), 0)
        self.assertIn("▁cat − ▁dog", found.stdout)
        self.check(run("report", out, "--out", self.folder / "page.html"), 0)
        self.assertIn("cat", (self.folder / "page.html").read_text())

    def test_a_tokenizer_of_another_model_is_refused(self):
        small = self.folder / "small"
        write_llama(small, vocabulary=LARGE - 1)
        self.put_tokenizer(small)
        failed = self.check(run("generate", small, "--prompt", "a"), 3)
        self.assertIn(f"at most {LARGE - 1} pieces", failed.stderr)
