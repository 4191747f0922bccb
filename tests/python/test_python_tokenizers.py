"""What the tokens of transformers' tokenizers are called: as the library calls them, of a tokenizer.json on disk."""

import json
import unittest

import bilens
from bilens._tokens import pieces_of

import token_ids
import tokenizer_kinds
from bilens_cli import TestCase
from language_models import write_llama

try:
    from transformers import PreTrainedTokenizerFast
except ImportError as error:
    raise unittest.SkipTest(f"no transformers: {error}") from error


class Pieces(TestCase):
    def test_byte_level_pieces_are_shown_as_the_library_shows_them(self):
        trained = tokenizer_kinds.train("llama3", tokenizer_kinds.texts(500), vocabulary=900)
        file = self.write("tokenizer.json", json.dumps(trained))
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file))
        shown = pieces_of(tokenizer)
        self.assertEqual(len(shown), 900)
        self.assertIn("▁the", shown)
        self.assertIn("<0xC3>", shown)
        self.assertIn("<0x0A>", shown)
        self.assertNotIn("Ġthe", shown)
        write_llama(self.folder / "model", vocabulary=900)
        prompt, word = [5, 6, 7], trained["model"]["vocab"]["Ġthe"]
        ours = bilens.explain(self.folder / "model", prompt, word, tokenizer=file)
        theirs = bilens.explain(self.folder / "model", prompt, word, tokenizer=tokenizer)
        self.assertEqual(str(ours), str(theirs))
        self.assertIn("▁the", str(ours))
        # Each can be named as it is shown.
        self.assertEqual(token_ids.encode(self.folder, file, [" the"]), [[word]])
        self.assertEqual(str(bilens.explain(self.folder / "model", prompt, "▁the", tokenizer=file)), str(ours))


if __name__ == "__main__":
    unittest.main()
