"""Our token ids are those of the Python sentencepiece, on 10,000 lines of stories and on odd ones."""

import gzip
import os
import struct
import subprocess
import unittest

from bilens_cli import BILENS, ROOT, TestCase, test_data

try:
    import sentencepiece
except ImportError:
    sentencepiece = None

MODELS = ("llama-tokenizer/tokenizer.model", "stories260K/tok512.model")
ODD = ["", " ", "  ", "\t", "\n", "\r\n", " a  b   c ", "\u00a0x\u2003y\u3000", "\u2581", "\u2581\u2581a", "e\u0301", "\u200b",
       "\U0001F600", "\U0001F469\u200d\U0001F680!", "\U0001F1E9\U0001F1EA 12,345.67", "<s> </s> <unk> <0x0A> [INST]", "a\0b",
       "\ufeffbom", "\u6f22\u5b57\u304b\u306a", "\u05e9\u05dc\u05d5\u05dd", "x" * 5000, " " * 300, "\U0010ffff", "tab\tand\ttab "]
INVALID = [b"\xff", b"a\xffb", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80 x", b"\xe2\x82", b"\x80\x80", b"\xc0\xaf"]


@unittest.skipIf(sentencepiece is None, "no sentencepiece in this Python")
class Agreement(TestCase):
    def our_ids(self, model, texts):
        texts = [t if isinstance(t, bytes) else t.encode() for t in texts]
        source = self.write("texts", b"".join(struct.pack("<I", len(t)) + t for t in texts))
        program = (ROOT / BILENS).resolve().parent / "tests/test_data"
        environment = {**os.environ, "BILENS_IDS_MODEL": str(model), "BILENS_IDS_INPUT": str(source),
                       "BILENS_IDS_OUTPUT": str(self.folder / "ids")}
        subprocess.run([program, "[.ids]"], env=environment, cwd=ROOT, check=True, capture_output=True, timeout=600)
        return [list(map(int, line.split())) for line in (self.folder / "ids").read_text().splitlines()]

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


if __name__ == "__main__":
    unittest.main()
