"""Language models through the commands: the published stories260K converted, evaluated and sampled."""

import gzip
import hashlib
import json
import shutil
import unittest

from safetensors.numpy import load_file

from bilens_cli import TestCase, run, test_data

OPENING = "Once upon a time, there was a little girl named Lily."  # what llama2.c documents for this model


def validation_stories(folder):
    """Stories whose SHA-256 is 1 modulo 20, as one text."""
    text = gzip.open(folder / "tinystories/tinystories-sample.txt.gz", "rt", encoding="utf-8").read()
    stories = [story.strip() for story in text.split("<|endoftext|>")]
    kept = [s for s in stories if s and int(hashlib.sha256(s.encode()).hexdigest()[:8], 16) % 20 == 1]
    return "\n<|endoftext|>\n".join(kept)


class Published(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = test_data("stories260K", "tinystories")

    def convert(self, name="stories", *flags):
        done = run(
            "convert",
            self.data / "stories260K/stories260K.bin",
            self.folder / name,
            "--json",
            "--tokenizer",
            self.data / "stories260K/tok512.model",
            *flags,
        )
        self.check(done, 0)
        return self.document(done)["results"]

    def test_it_becomes_a_hugging_face_directory(self):
        (result,) = self.convert()
        self.assertEqual(result["parameters"], 260_032)
        folder = self.folder / "stories"
        config = json.loads((folder / "config.json").read_text())
        self.assertEqual(
            (config["model_type"], config["hidden_act"], config["tie_word_embeddings"]), ("llama", "silu", True)
        )
        tensors = load_file(folder / "model.safetensors")
        self.assertEqual(tensors["model.layers.0.self_attn.k_proj.weight"].shape, (32, 64))
        self.assertNotIn("lm_head.weight", tensors)
        self.assertEqual(
            {file.name for file in folder.iterdir()},
            {"config.json", "generation_config.json", "model.safetensors", "tokenizer.model", "tokenizer_config.json"},
        )
        again = self.check(run("convert", self.data / "stories260K/stories260K.bin", folder), 2)
        self.assertIn("an empty or new folder", again.stderr)

    def test_the_tokenizer_beside_a_single_file_comes_along(self):
        (self.folder / "beside").mkdir()
        for name, target in (("stories260K.bin", "model.bin"), ("tok512.model", "tokenizer.model")):
            (self.folder / "beside" / target).write_bytes((self.data / "stories260K" / name).read_bytes())
        self.check(run("convert", self.folder / "beside/model.bin", self.folder / "with"), 0)
        self.assertTrue((self.folder / "with/tokenizer.model").is_file())
        (self.folder / "beside/tokenizer.model").unlink()
        self.check(run("convert", self.folder / "beside/model.bin", self.folder / "without"), 0, "no tokenizer")

    def test_converting_again_changes_nothing(self):
        self.convert()
        self.check(run("convert", self.folder / "stories", self.folder / "again"), 0)
        for name in ("config.json", "model.safetensors", "tokenizer.model"):
            self.assertEqual(
                (self.folder / "stories" / name).read_bytes(), (self.folder / "again" / name).read_bytes(), name
            )

    def test_its_loss_is_what_transformers_measures(self):
        """The expected values: scripts/peers/peer_evaluate.py with transformers 5.24.0 on the converted model."""
        self.convert()
        text = self.folder / "validation.txt"
        text.write_text(validation_stories(self.data), encoding="utf-8")
        for context, expected, tokens in (("512", 1.4084887, 135_636), ("100", 1.5346588, 134_542)):
            done = run("evaluate", self.folder / "stories", "--data", f"text:{text}", "--context", context, "--json")
            (result,) = self.document(self.check(done, 0))["results"]
            self.assertEqual(result["tokens"], tokens)
            self.assertAlmostEqual(result["loss"], expected, delta=1e-4)
        direct = run(
            "evaluate",
            self.data / "stories260K/stories260K.bin",
            "--data",
            f"text:{text}",
            "--context",
            "100",
            "--json",
            "--tokenizer",
            self.data / "stories260K/tok512.model",
        )
        self.assertAlmostEqual(self.document(self.check(direct, 0))["results"][0]["loss"], result["loss"], delta=1e-7)

    def test_kept_token_ids_give_the_same_loss(self):
        self.convert()
        text = self.write("text.txt", "Once upon a time.\n<|endoftext|>\nThe end, said Tim.")
        kept = self.folder / "kept"

        def evaluate(spec):
            done = self.check(run("evaluate", self.folder / "stories", "--data", spec, "--json"), 0)
            return self.document(done)["results"][0]["loss"], done.stderr

        expected, _ = evaluate(f"text:{text}")
        for words in ("token ids are kept", "token ids: "):
            found, said = evaluate(f"text,keep_in={kept}:{text}")
            self.assertEqual(found, expected)
            self.assertIn(words, said)
        (file,) = kept.iterdir()
        tensors = load_file(file)
        self.assertEqual((tensors["ids"].dtype, tensors["starts"].tolist()[0]), ("uint16", 0))
        self.assertEqual(len(tensors["starts"]), 2)

    def test_greedy_text_is_the_documented_one(self):
        self.convert()
        greedy = run("generate", self.folder / "stories", "--prompt", "", "--temperature", "0", "--max-tokens", "200")
        self.check(greedy, 0)
        self.assertTrue(greedy.stdout.lstrip().startswith(OPENING), greedy.stdout[:100])
        self.assertRegex(greedy.stderr, r"[\d,.]+ tokens/s")
        document = self.document(
            run("generate", self.folder / "stories", "--temperature", "0", "--max-tokens", "20", "--json")
        )
        (result,) = document["results"]
        self.assertEqual((len(result["tokens"]), result["stopped"]), (20, "length"))
        self.assertTrue(greedy.stdout.startswith(result["text"]))

    def test_sampling_is_repeated_by_its_seed(self):
        self.convert()
        sample = ["generate", self.folder / "stories", "--prompt", "Tom had a", "--max-tokens", "40"]
        texts = [self.check(run(*sample, "--seed", seed), 0).stdout for seed in ("1", "1", "2")]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])
        self.assertTrue(texts[0].startswith("Tom had a"), texts[0])

    def test_it_ends_at_its_last_position(self):
        self.convert()
        done = run("generate", self.folder / "stories", "--temperature", "0", "--max-tokens", "5000", "--json")
        (result,) = self.document(self.check(done, 0))["results"]
        self.assertLess(len(result["tokens"]), 512)


class Bad(TestCase):
    """Of the published model, copied and damaged."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = test_data("stories260K")

    def setUp(self):
        super().setUp()
        self.model = self.folder / "stories"
        self.check(
            run(
                "convert",
                self.data / "stories260K/stories260K.bin",
                self.model,
                "--tokenizer",
                self.data / "stories260K/tok512.model",
            ),
            0,
        )
        self.text = self.folder / "text.txt"
        self.text.write_text("Once upon a time there was a cat. It sat on a mat.", encoding="utf-8")

    def evaluate(self, *flags, expect, **changes):
        config = json.loads((self.model / "config.json").read_text())
        config.update(changes)
        (self.model / "config.json").write_text(json.dumps(config))
        done = run("evaluate", self.model, "--data", f"text:{self.text}", *flags)
        return self.check(done, expect).stderr

    def test_contradictions_of_the_config(self):
        for changes, words in (
            ({"num_attention_heads": 7}, "num_attention_heads"),
            ({"hidden_act": "swish-ish"}, "swish-ish"),
            ({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}}, "longrope"),
            ({"model_type": "gpt_neox"}, "gpt_neox"),
            ({"intermediate_size": 171}, "mlp"),
        ):
            with self.subTest(changes):
                before = (self.model / "config.json").read_text()
                self.assertIn(words, self.evaluate(expect=3, **changes))
                (self.model / "config.json").write_text(before)

    def test_no_head_though_it_is_not_tied(self):
        self.assertIn("lm_head.weight", self.evaluate(expect=3, tie_word_embeddings=False))

    def test_windows_beyond_the_positions(self):
        self.assertIn("512 positions", self.evaluate("--context", "513", expect=2))

    def test_texts(self):
        self.text.write_bytes(b"\xff\xfe bad")
        self.assertIn("UTF-8", self.evaluate(expect=3))
        self.text.write_bytes(b"")
        self.assertIn(str(self.text), self.evaluate(expect=3))
        self.text.unlink()
        self.assertIn(str(self.text), self.evaluate(expect=3))

    def test_tokenizers(self):
        llama = test_data("llama-tokenizer") / "llama-tokenizer/tokenizer.model"
        shutil.copy(llama, self.model / "tokenizer.model")
        self.assertRegex(self.evaluate(expect=3), "32,?000")
        (self.model / "tokenizer.model").unlink()
        (self.model / "tokenizer.json").write_text("{}")
        self.assertIn("tokenizer.json", self.evaluate(expect=3))

    def test_a_prompt_beyond_the_positions(self):
        self.assertIn("512 positions", self.check(run("generate", self.model, "--prompt", "a cat " * 600), 2).stderr)
        for flag, value in (("--temperature", "-1"), ("--top-p", "0"), ("--top-k", "-3")):
            self.assertIn(flag[2:5], self.check(run("generate", self.model, flag, value), 2).stderr)

    def test_a_token_beyond_the_vocabulary(self):
        tokens = self.folder / "tokens.bin"
        tokens.write_bytes(b"\x01\x00\x05\x00\x00\x02\x07\x00")  # 512 is one too many
        done = self.check(run("evaluate", self.model, "--data", f"tokens:{tokens}"), 3)
        self.assertIn("512", done.stderr)


if __name__ == "__main__":
    unittest.main()
