"""`bilens tokenizer train`: what it writes, what it refuses, and how the Python sentencepiece reads it."""

import gzip
import json
import random
import unittest

from bilens_cli import TestCase, files_below, run

try:
    import sentencepiece
except ImportError:
    sentencepiece = None

TEXT = "\n<|endoftext|>\n".join(
    f"Once upon a time there were {i} little cats and {i * 7} dogs.\nThe end, {name}."
    for i in range(200)
    for name in ("Lily", "Tom")
)


class TokenizerTraining(TestCase):
    def train(self, *extra, text=None, name="tokenizer", vocabulary=330):
        path = self.write("stories.txt", TEXT if text is None else text)
        return run(
            "tokenizer",
            "train",
            "--data",
            f"text:{path}",
            "--vocabulary",
            vocabulary,
            "--out",
            self.folder / name,
            *extra,
        )

    def test_writes_a_tokenizer_whole_and_the_same_again(self):
        self.check(self.train(), 0)
        self.check(self.train("--threads", "1", name="again"), 0)
        first, again = files_below(self.folder / "tokenizer"), files_below(self.folder / "again")
        self.assertEqual(sorted(first), ["tokenizer.model", "tokenizer_config.json"])
        self.assertEqual(first, again)
        config = json.loads(first["tokenizer_config.json"])
        self.assertEqual(config["tokenizer_class"], "LlamaTokenizer")
        self.assertEqual([config[k] for k in ("unk_token", "bos_token", "eos_token")], ["<unk>", "<s>", "</s>"])

    def test_short_lines_are_enough(self):
        """SentencePiece refuses a limit below 10 bytes a line."""
        text = self.write("words.txt", "\n".join(["ab", "cd", "abcd", "dcba"] * 50))
        self.check(
            run("tokenizer", "train", "--data", f"text:{text}", "--vocabulary", 266, "--out", self.folder / "short"), 0
        )

    def test_text_without_spaces(self):
        """SentencePiece ends the process at words of 65,536 characters."""
        rng = random.Random(0)
        for name, characters in (
            ("cjk", "的一是不了人我在"),
            ("ascii", "abcdefgh"),
            ("same", "a"),
            ("spaces", "   a"),
            ("marks", "\u2581a"),
            ("digits", "01"),
        ):
            text = self.write(name, "".join(rng.choice(characters) for _ in range(70_000)))
            vocabulary = 262 if name in ("same", "marks", "digits", "spaces") else 275
            self.check(
                run(
                    "tokenizer",
                    "train",
                    "--data",
                    f"text:{text}",
                    "--vocabulary",
                    vocabulary,
                    "--out",
                    self.folder / f"of-{name}",
                ),
                0,
            )

    def test_json_says_what_was_made(self):
        document = self.document(self.check(self.train("--json"), 0))
        self.assertEqual(document["failures"], [])
        self.assertEqual(document["results"][0]["vocabulary"], 330)
        self.assertEqual(document["results"][0]["stories"], 400)

    def test_compressed_text_gives_the_same(self):
        self.check(self.train(), 0)
        self.check(self.train(text=gzip.compress(TEXT.encode()), name="packed"), 0)
        self.assertEqual(files_below(self.folder / "tokenizer"), files_below(self.folder / "packed"))

    def test_a_dry_run_writes_nothing_and_names_all_problems(self):
        document = self.document(self.check(self.train("--dry-run", "--json"), 0))
        self.assertEqual(document["problems"], [])
        self.assertGreater(document["estimate"]["memory_bytes"], 0)
        self.assertFalse((self.folder / "tokenizer").exists())
        result = run("tokenizer", "train", "--vocabulary", 5, "--dry-run", "--json")
        self.check(result, 2)
        self.assertEqual({p["where"] for p in self.document(result)["problems"]}, {"--data", "--vocabulary", "--out"})

    def test_bad_requests_leave_nothing_behind(self):
        self.check(self.train(vocabulary=259), 2, "--vocabulary: expected at least 260, found 259")
        self.check(self.train(vocabulary=270), 2, "a size that the text allows", "270")
        self.check(self.train(vocabulary=100_000), 2, "a size that the text allows", "100000")
        self.check(self.train(text=""), 3, "stories.txt: expected text, found an empty file")
        self.check(self.train(text=b"abc\xff"), 3, "the first at byte 3")
        self.check(self.train(text=gzip.compress(TEXT.encode())[:-20]), 3, "a truncated one")
        self.check(self.train(vocabulary=-3), 2, "--vocabulary: expected 0 or more")
        self.check(
            run("tokenizer", "train", "--data", "tokens:x", "--vocabulary", 300, "--out", self.folder / "o"),
            2,
            "text:FILE",
        )
        self.check(
            run("tokenizer", "train", "--data", "mnist-5k", "--vocabulary", 300, "--out", self.folder / "o"),
            2,
            "--data",
        )
        self.check(
            run("tokenizer", "train", "--data", "text", "--vocabulary", 300, "--out", self.folder / "o"), 2, "text:FILE"
        )
        self.check(run("tokenizer", "trian"), 2, 'expected train, found "trian"')
        self.check(run("tokenizer"), 2, "expected train, found nothing")
        self.assertEqual({p.name for p in self.folder.iterdir()}, {"stories.txt"})

    def test_a_folder_with_files_is_left_alone(self):
        self.write("tokenizer/mine.txt", "mine")
        self.check(self.train(), 2, "an empty or new folder")
        self.assertEqual(files_below(self.folder / "tokenizer"), {"mine.txt": b"mine"})

    def test_help_names_the_flags(self):
        text = run("tokenizer", "--help").stdout
        for flag in ("--data", "--vocabulary", "--out"):
            self.assertIn(flag, text)

    @unittest.skipIf(sentencepiece is None, "no sentencepiece in this Python")
    def test_python_reads_it_with_the_settings_of_llama(self):
        self.check(self.train(), 0)
        model = sentencepiece.SentencePieceProcessor(model_file=str(self.folder / "tokenizer/tokenizer.model"))
        self.assertEqual(model.vocab_size(), 330)
        self.assertEqual([model.unk_id(), model.bos_id(), model.eos_id(), model.pad_id()], [0, 1, 2, -1])
        self.assertEqual(
            [model.id_to_piece(i) for i in (0, 1, 2, 3, 258)], ["<unk>", "<s>", "</s>", "<0x00>", "<0xFF>"]
        )
        for text in ("Once upon a time", "  two  spaces ", "12 345", "é\U0001f600\n\tx", ""):
            self.assertEqual(model.decode(model.encode(text)), text)
        # Digits stand apart, and no piece crosses a line end.
        self.assertFalse(
            [p for p in map(model.id_to_piece, range(259, 330)) if "\n" in p or sum(map(str.isdigit, p)) and len(p) > 1]
        )


if __name__ == "__main__":
    unittest.main()
