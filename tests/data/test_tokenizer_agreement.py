"""Our token ids are those of the Python sentencepiece, on 10,000 lines of stories and on odd ones.

With the files of the Hugging Face layout beside the model they are those of transformers.
"""

import gzip
import json
import shutil
import types
import unittest

import token_ids
from bilens_cli import TestCase, test_data

try:
    import sentencepiece
except ImportError:
    sentencepiece = None
try:
    import transformers.convert_slow_tokenizer
    from transformers import LlamaTokenizer
except ImportError:
    LlamaTokenizer = None

MODELS = ("llama-tokenizer/tokenizer.model", "stories260K/tok512.model")
ODD = [
    "",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    " a  b   c ",
    "\u00a0x\u2003y\u3000",
    "\u2581",
    "\u2581\u2581a",
    "e\u0301",
    "\u200b",
    "\U0001f600",
    "\U0001f469\u200d\U0001f680!",
    "\U0001f1e9\U0001f1ea 12,345.67",
    "<s> </s> <unk> <0x0A> [INST]",
    "a\0b",
    "\ufeffbom",
    "\u6f22\u5b57\u304b\u306a",
    "\u05e9\u05dc\u05d5\u05dd",
    "x" * 5000,
    " " * 300,
    "\U0010ffff",
    "tab\tand\ttab ",
]
INVALID = [b"\xff", b"a\xffb", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80 x", b"\xe2\x82", b"\x80\x80", b"\xc0\xaf"]


class IdsCase(TestCase):
    def our_ids(self, model, texts):
        return token_ids.encode(self.folder, model, texts)


@unittest.skipIf(sentencepiece is None, "no sentencepiece in this Python")
class Agreement(IdsCase):
    def compare(self, texts):
        folder = test_data(*MODELS)
        for name in MODELS:
            python = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
            ours = self.our_ids(folder / name, texts)
            self.assertEqual(len(ours), len(texts))
            for text, ids in zip(texts, ours):
                self.assertEqual(ids, python.encode(text), (name, text))

    def test_ten_thousand_lines_of_stories(self):
        name = "tinystories/tinystories-sample.txt.gz"
        lines = gzip.open(test_data(name) / name, "rt", encoding="utf-8").read().split("\n")[:10_000]
        self.assertEqual(len(lines), 10_000)
        self.compare(lines)

    def test_odd_texts(self):
        self.compare(ODD)

    def test_bytes_that_are_no_utf8(self):
        self.compare(INVALID)


def token(content, lstrip=False, rstrip=False, normalized=False, special=True):
    return dict(
        content=content, lstrip=lstrip, rstrip=rstrip, normalized=normalized, single_word=False, special=special
    )


BASE = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
CHAT = {"<|im_start|>": 512, "<|im_end|>": 513}
FIRST = {"0": token("<unk>"), "1": token("<s>"), "2": token("</s>")}
BESIDE = {  # what stands beside the model
    "as bilens writes it": {
        "tokenizer_config.json": {**BASE, "legacy": True, "add_bos_token": True, "pad_token": None}
    },
    "not legacy": {"tokenizer_config.json": {**BASE, "legacy": False}},
    "silent about legacy": {"tokenizer_config.json": BASE},
    "added tokens": {"tokenizer_config.json": {**BASE, "legacy": False}, "added_tokens.json": CHAT},
    "added tokens, legacy": {"tokenizer_config.json": {**BASE, "legacy": True}, "added_tokens.json": CHAT},
    "added tokens alone": {"added_tokens.json": CHAT},
    "a decoder": {
        "tokenizer_config.json": {
            **BASE,
            "legacy": False,
            "added_tokens_decoder": {
                **FIRST,
                "512": token("<|im_start|>", rstrip=True),
                "513": token("<|im_end|>"),
                "514": token("<|im_end|>x", special=False),
                "515": token("<tool>", lstrip=True, rstrip=True, special=False, normalized=True),
            },
        }
    },
    "a decoder, legacy": {
        "tokenizer_config.json": {
            **BASE,
            "legacy": True,
            "eos_token": "<|im_end|>",
            "added_tokens_decoder": {**FIRST, "512": token("<|im_start|>"), "513": token("<|im_end|>", lstrip=True)},
        }
    },
    "names as objects": {
        "tokenizer_config.json": {**BASE, "bos_token": {"__type": "AddedToken", **token("<s>")}, "legacy": True}
    },
}
SPECIAL_TEXTS = [
    "a</s>b",
    "a </s> b",
    "</s>x",
    "<s>",
    "<s></s>",
    "x<unk>y",
    "Once<|im_end|>upon a time",
    "<|im_start|>user\nWhat is it?<|im_end|>\n<|im_start|> bot",
    "<|im_start|><|im_end|> z",
    "one <tool> two<tool> three",
    "<|im_end|>xyz",
    "<|im_end",
    "a \u2581<|im_end|>\u2581b",
    "na\u00efve<|im_end|>\U0001f600</s>",
    "plain text, 12 cats",
    "",
]


@unittest.skipIf(sentencepiece is None or LlamaTokenizer is None, "no sentencepiece or no transformers in this Python")
class Neighbours(IdsCase):
    """Texts that begin with a space or have two in a row are left out: there transformers 5 differs from SentencePiece,
    and bilens does not."""

    def setUp(self):
        super().setUp()
        self.model = test_data(*MODELS) / MODELS[1]
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(self.model))
        kinds = lambda i: 3 if pieces.is_control(i) else 2 if pieces.is_unknown(i) else 6 if pieces.is_byte(i) else 1
        proto = types.SimpleNamespace(
            pieces=[
                types.SimpleNamespace(piece=pieces.id_to_piece(i), score=pieces.get_score(i), type=kinds(i))
                for i in range(512)
            ],
            trainer_spec=types.SimpleNamespace(unk_id=0, model_type=2),
            normalizer_spec=types.SimpleNamespace(),
        )
        # transformers reads the model with protobuf, which need not be there.
        extractor = transformers.convert_slow_tokenizer.SentencePieceExtractor
        before = extractor.__init__
        extractor.__init__ = lambda extractor, model: setattr(extractor, "proto", proto)
        self.addCleanup(setattr, extractor, "__init__", before)

    def folder_with(self, name, files):
        folder = self.folder / name.replace(" ", "-")
        folder.mkdir()
        shutil.copy(self.model, folder / "tokenizer.model")
        for file, content in files.items():
            (folder / file).write_text(json.dumps(content))
        return folder

    def test_ids_are_those_of_transformers(self):
        for name, files in BESIDE.items():
            folder = self.folder_with(name, files)
            theirs = LlamaTokenizer.from_pretrained(folder)
            ours = self.our_ids(folder, SPECIAL_TEXTS)
            for text, ids in zip(SPECIAL_TEXTS, ours, strict=True):
                self.assertEqual(ids, theirs.encode(text, add_special_tokens=False), (name, text))


if __name__ == "__main__":
    unittest.main()
