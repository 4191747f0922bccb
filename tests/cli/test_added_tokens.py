"""What stands beside a model and its SentencePiece file: tokens that end a text, added tokens."""

import json
import shutil
import unittest

import numpy
from safetensors.numpy import load_file, save_file

from bilens_cli import run
from language_models import write_llama
from texts import TextCase

CHAT = {"<|im_start|>": 320, "<|im_end|>": 321}


class AddedTokens(TextCase):
    """A model of 322 tokens, 320 of them SentencePiece's, whose likeliest next token is what `likeliest` names."""

    def setUp(self):
        super().setUp()
        self.model = self.folder / "model"
        write_llama(self.model, vocabulary=322)
        shutil.copy(self.tokenizer / "tokenizer.model", self.model)
        self.beside("added_tokens.json", CHAT)

    def beside(self, name, content):
        (self.model / name).write_text(json.dumps(content))

    def likeliest(self, token):
        tensors = load_file(self.model / "model.safetensors")
        tensors["model.embed_tokens.weight"][:, 0] = 1e4  # and so is the stream's first unit, whatever the layers add
        tensors["lm_head.weight"] = numpy.zeros_like(tensors["lm_head.weight"])
        tensors["lm_head.weight"][token, 0] = 1
        save_file(tensors, self.model / "model.safetensors")

    def generate(self, *flags, model=None, prompt="the cat"):
        done = run(
            "generate", model or self.model, "--prompt", prompt, "--temperature", 0, "--max-tokens", 3, "--json", *flags
        )
        return self.document(self.check(done, 0))["results"][0]

    def test_an_added_token_is_its_text(self):
        self.likeliest(321)
        self.assertEqual(self.generate()["text"], "the cat" + 3 * "<|im_end|>")
        self.assertEqual(self.generate(prompt="a<|im_start|>")["text"], "a<|im_start|>" + 3 * "<|im_end|>")
        self.assertEqual(self.generate("--tokenizer", self.model / "tokenizer.model")["tokens"], [321] * 3)

    def test_generation_config_ends_a_text_and_is_kept(self):
        self.likeliest(321)
        self.assertEqual(self.generate()["stopped"], "length")
        generation = {"eos_token_id": [2, 321], "temperature": 0.6, "transformers_version": "5.24.0"}
        self.beside("generation_config.json", generation)
        ended = self.generate()
        self.assertEqual((ended["stopped"], ended["tokens"]), ("end", []))
        self.check(run("convert", self.model, self.folder / "converted"), 0)
        self.assertEqual(json.loads((self.folder / "converted/generation_config.json").read_text()), generation)
        self.assertEqual(self.generate(model=self.folder / "converted")["stopped"], "end")
        for ends, stopped in ((321, "end"), ([2, 9999], "length"), ([], "length"), (None, "length")):
            self.beside("generation_config.json", {"eos_token_id": ends})
            self.assertEqual(self.generate()["stopped"], stopped, ends)

    def test_a_damaged_generation_config_concerns_generation_alone(self):
        for content in ('{"eos_token_id": "x"}', "{", "[]"):
            (self.model / "generation_config.json").write_text(content)
            self.check(run("generate", self.model, "--prompt", "a"), 3, "generation_config.json")
            self.check(run("evaluate", self.model, "--data", f"text:{self.text}"), 0)

    def test_a_token_that_the_model_has_no_row_for_is_text(self):
        """As of models that were published with a padding token of their own."""
        self.beside("added_tokens.json", {**CHAT, "[PAD]": 322})
        self.write("pad.txt", "the cat [PAD] the dog")
        result = run("evaluate", self.model, "--data", f"text:{self.folder / 'pad.txt'}")
        self.check(result, 0, "[PAD] (322)", "vocabulary of 322")

    def test_they_can_be_directions(self):
        self.check(
            run(
                "decompose",
                self.model,
                "--set",
                "layers=[0]",
                "--set",
                "k=1",
                "--set",
                'directions={"kind": "tokens", "plus": ["<|im_end|>"]}',
                "--out",
                self.folder / "d",
            ),
            0,
        )
        layer = json.loads((self.folder / "d/decomposition.json").read_text())["layers"][0]
        self.assertEqual(layer["direction_names"], ["<|im_end|>"])

    def test_a_trained_model_keeps_them(self):
        tokenizer = self.folder / "tokenizer"
        shutil.copytree(self.tokenizer, tokenizer)
        (tokenizer / "added_tokens.json").write_text(json.dumps(CHAT))
        config = self.tiny_config({"path": str(self.text), "tokenizer": str(tokenizer)}, train={"steps": 1})
        self.check(run("train", config, "--out", self.folder / "run"), 0)
        written = self.folder / "run/model"
        self.assertEqual(json.loads((written / "config.json").read_text())["vocab_size"], 322)
        self.assertEqual(json.loads((written / "added_tokens.json").read_text()), CHAT)
        self.check(run("generate", written, "--prompt", "<|im_end|>", "--max-tokens", 2), 0)


if __name__ == "__main__":
    unittest.main()
