"""Our token ids of a tokenizer.json are those of the Python package `tokenizers`, of published files and of small ones
of every structure. BILENS_TOKENIZER_LINES sets how many lines (default 1,000); 100,000 take some minutes. Needs what
scripts/setup.sh --bench installs; skipped without, an error with BILENS_REQUIRE_PEERS=1."""
# labels: slow

import json
import os
import random
import unittest

import token_ids
import tokenizer_kinds
from bilens_cli import TestCase, run, test_data
from peer_packages import require_transformers

LINES = int(os.environ.get("BILENS_TOKENIZER_LINES", "1000"))
PUBLISHED = ("llama2", "phi-2", "phi-3-mini")
INVALID = [b"\xff", b"a\xffb", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80 x", b"\xe2\x82", b"\x80\x80", b"\xc0\xaf"]


def with_pairs(tokenizer):
    """The same with merges as pairs. Of a string with several spaces, parted where both sides are pieces: the package
    refuses such a file, which writers of earlier versions have made."""
    vocabulary, pairs = tokenizer["model"]["vocab"], []
    for merge in tokenizer["model"]["merges"]:
        if isinstance(merge, str):
            places = [i for i, character in enumerate(merge) if character == " "]
            ways = [(merge[:i], merge[i + 1 :]) for i in places]
            (merge,) = [w for w in ways if all(part in vocabulary for part in (*w, "".join(w))) and all(w)]
        pairs.append(merge)
    return {**tokenizer, "model": {**tokenizer["model"], "merges": pairs}}


class JsonTokenizers(TestCase):
    @classmethod
    def setUpClass(cls):
        require_transformers()
        cls.lines = tokenizer_kinds.texts(LINES)
        cls.to_learn = tokenizer_kinds.texts(2000, seed=99)

    def read(self, name):
        file = f"tokenizers/{name}/tokenizer.json"
        return json.loads((test_data(file) / file).read_text())

    def compare(self, name, tokenizer):
        from tokenizers import Tokenizer

        file = self.write(f"{name}.json", json.dumps(tokenizer))  # a name by which what stands beside does not count
        theirs = Tokenizer.from_str(json.dumps(with_pairs(tokenizer)))
        ours = token_ids.encode(self.folder, file, self.lines)
        expected = []
        for line, ids in zip(self.lines, ours, strict=True):
            expected.append(theirs.encode(line, add_special_tokens=False).ids)
            self.assertEqual(ids, expected[-1], (name, line))
        replaced = [text.decode(errors="replace") for text in INVALID]
        self.assertEqual(
            token_ids.encode(self.folder, file, INVALID),
            [theirs.encode(text, add_special_tokens=False).ids for text in replaced],
        )
        # The package of today shows normalized added tokens in their normal form, others have not and we do not.
        normalized = {token["id"] for token in tokenizer["added_tokens"] if token["normalized"]}
        known = sorted(set(theirs.get_vocab().values()) - normalized)
        draw = random.Random(1)
        lists = [[i for i in ids if i not in normalized] for ids in expected[:1000]]
        lists += [
            [draw.choice(draw.choice((known, known[:300]))) for _ in range(draw.randint(0, 12))] for _ in range(1000)
        ]
        for ids, text in zip(lists, token_ids.decode(self.folder, file, lists), strict=True):
            self.assertEqual(text, theirs.decode(ids, skip_special_tokens=True), (name, ids))

    def test_published_files(self):
        for name in PUBLISHED:
            with self.subTest(name):
                self.compare(name, self.read(name))

    def test_small_ones_of_every_structure(self):
        for name in tokenizer_kinds.KINDS:
            with self.subTest(name):
                self.compare(name.replace(" ", "-"), tokenizer_kinds.train(name, self.to_learn))

    def test_prompts_are_those_of_transformers(self):
        """With the settings beside the file in all ways: the template decides, whatever they say."""
        from transformers import AutoTokenizer

        texts = ["Once upon a time", "a</s>b", " <unk> x", "\n"]
        named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        settings = [{}, {"add_bos_token": True}, {"add_bos_token": False}, {"add_bos_token": None}]
        settings += [{"add_eos_token": True}, {"add_bos_token": True, "add_eos_token": True}]
        for kind in ("llama3", "qwen", "gemma"):
            trained = tokenizer_kinds.train(kind, self.to_learn)
            for number, setting in enumerate(settings):
                folder = self.folder / f"{kind}-{number}"
                folder.mkdir()
                (folder / "tokenizer.json").write_text(json.dumps(trained))
                config = {"tokenizer_class": "PreTrainedTokenizerFast", **named, **setting}
                (folder / "tokenizer_config.json").write_text(json.dumps(config))
                theirs = AutoTokenizer.from_pretrained(folder)
                ours = token_ids.encode_prompts(self.folder, folder, texts)
                self.assertEqual(ours, [theirs(text).input_ids for text in texts], (kind, setting))

    def test_published_folders_are_prompts_of_transformers(self):
        """Of those whose class in transformers leaves the file as it is."""
        from transformers import PreTrainedTokenizerFast

        for name in ("phi-2", "phi-3-mini"):
            folder = test_data(f"tokenizers/{name}/tokenizer.json") / "tokenizers" / name
            theirs = PreTrainedTokenizerFast.from_pretrained(folder)
            texts = [line for line in self.lines[:200] if line]  # an empty prompt is refused
            ours = token_ids.encode_prompts(self.folder, folder, texts)
            for text, ids in zip(texts, ours, strict=True):
                self.assertEqual(ids, theirs(text).input_ids, (name, text))

    def test_training_learns_what_the_package_learns(self):
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers

        text = "\n<|endoftext|>\n".join(self.to_learn)
        out = self.folder / "learnt"
        source = f"text:{self.write('learn.txt', text)}"
        done = run("tokenizer", "train", "--kind", "byte-level", "--data", source, "--vocabulary", 1200, "--out", out)
        self.check(done, 0)
        ours = json.loads((out / "tokenizer.json").read_text())
        theirs = Tokenizer(models.BPE())
        theirs.pre_tokenizer = Tokenizer.from_file(str(out / "tokenizer.json")).pre_tokenizer
        trainer = trainers.BpeTrainer(
            vocab_size=1200,
            special_tokens=["<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        unified = text.replace("\r\n", "\n").replace("\r", "\n")  # as our reader of texts has it
        documents = (document.strip() for document in unified.split("<|endoftext|>"))
        theirs.train_from_iterator(documents, trainer)
        expected = json.loads(theirs.to_str())["model"]
        self.assertEqual(ours["model"]["vocab"], expected["vocab"])
        self.assertEqual(ours["model"]["merges"], expected["merges"])


if __name__ == "__main__":
    unittest.main()
