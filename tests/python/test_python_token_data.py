"""Token ids in memory as data of bilens.decompose, against the command line on the same ids in a file."""

import json
import pathlib
import tempfile
import unittest

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

from bilens_cli import run
from llamas import Words
from python_package import bilens, same_bits

FOLDER = tempfile.TemporaryDirectory(prefix="bilens-python-tokens-")
BOS, VOCABULARY = 1, 97


def llama(**more):
    torch.manual_seed(0)
    sizes = dict(vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2)
    heads = dict(num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads, **more))


MODEL = llama()
DOCUMENTS = np.random.default_rng(0).integers(3, VOCABULARY, (60, 20))
DOCUMENTS[:, 0] = BOS


class AgainstTheCommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(FOLDER.name)
        MODEL.save_pretrained(cls.folder / "model")

    def on_the_command_line(self, ids, name, spec="", analyses=()):
        file, out = self.folder / f"{name}.bin", self.folder / name
        np.asarray(ids).ravel().astype("<u4").tofile(file)
        settings = {
            "k": 3,
            "surrogate": "calibrated",
            "corpus.tokens": 300,
            "threads": 1,
            "analyses": json.dumps(list(analyses)),
        }
        flags = [f"--set={key}={value}" for key, value in settings.items()]
        data = f"tokens,dtype=uint32{spec}:{file}"
        done = run("decompose", self.folder / "model", "--out", out, "--data", data, *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out

    def same_as(self, out, ids, model=MODEL):
        found = bilens.decompose(model, data=ids, k=3, surrogate="calibrated", corpus={"tokens": 300}, threads=1)
        for number, layer in found.layers.items():
            for name, tensor in load_file(out / f"layer_{number}.safetensors").items():
                self.assertTrue(same_bits(layer.tensors[name], tensor), name)
        found.save(out.with_suffix(".saved"), overwrite=True)
        lines = load_file(out / "surrogate.safetensors")
        for name, tensor in load_file(out.with_suffix(".saved") / "surrogate.safetensors").items():
            self.assertTrue(same_bits(lines[name], tensor), name)
        return found

    def test_a_row_and_documents(self):
        out = self.on_the_command_line(DOCUMENTS, "documents")
        flat = torch.from_numpy(DOCUMENTS).flatten()
        lists = [row[: 10 + number % 10] for number, row in enumerate(DOCUMENTS)]
        for ids in (flat, flat.to(torch.int32), flat.numpy().astype(np.uint16), flat.tolist(), DOCUMENTS, flat[None]):
            self.same_as(out, ids)
        self.same_as(out, torch.from_numpy(DOCUMENTS))
        self.same_as(out, DOCUMENTS.tolist())
        self.same_as(out, flat, self.folder / "model")
        shorter = self.on_the_command_line(np.concatenate(lists), "lists")
        self.same_as(shorter, lists)
        self.same_as(shorter, [torch.from_numpy(row) for row in lists])

    def test_documents_begin_where_rows_do_whatever_the_models_bos_is(self):
        ids = DOCUMENTS.copy()
        ids[:, 0], ids[:, 7] = 2, BOS
        out = self.on_the_command_line(ids, "others", spec=",document_token=2")
        found = self.same_as(out, ids)
        other = bilens.decompose(
            MODEL, data=ids.ravel(), k=3, surrogate="calibrated", corpus={"tokens": 300}, threads=1
        )
        self.assertFalse(torch.equal(other.layers[1].eigenvalues, found.layers[1].eigenvalues))

    def test_studies_read_them_too(self):
        out = self.on_the_command_line(DOCUMENTS, "studied", analyses=["corpus"])
        ours = self.folder / "ours"
        arguments = dict(k=3, surrogate="calibrated", corpus={"tokens": 300}, threads=1, analyses=["corpus"], out=ours)
        found = bilens.decompose(MODEL, data=DOCUMENTS, **arguments)
        expected = load_file(out / "corpus.safetensors")
        study = load_file(ours / "corpus.safetensors")
        self.assertEqual(study.keys(), expected.keys())
        for name, tensor in expected.items():
            self.assertTrue(same_bits(study[name], tensor), name)
        self.assertFalse(pathlib.Path(found.info["config"]["data"]["path"]).exists())
        again = bilens.decompose(MODEL, data=DOCUMENTS, **arguments, resume=True)
        self.assertEqual(again.info, found.info)
        with self.assertRaisesRegex(bilens.UsageError, "data"):
            bilens.decompose(MODEL, data=DOCUMENTS[1:], **arguments, resume=True)

    def test_a_tokenizer_of_transformers_names_their_tokens(self):
        words, ours = Words(VOCABULARY - 7), self.folder / "named"
        arguments = dict(data=DOCUMENTS, k=1, corpus={"tokens": 100}, analyses=["corpus"], surrogate="half")
        bilens.decompose(MODEL, **arguments, tokenizer=words, out=ours)
        names = json.loads((ours / "corpus.json").read_text())["vocabulary"]
        self.assertEqual(names, [*words.pieces, *(f"#{number}" for number in range(VOCABULARY - 7, VOCABULARY))])
        with self.assertRaisesRegex(bilens.InputError, f"tokenizer: expected at most the {VOCABULARY} tokens"):
            bilens.decompose(MODEL, **arguments, tokenizer=Words(VOCABULARY + 1), out=self.folder / "none")


class Refused(unittest.TestCase):
    def refuse(self, words, ids, model=MODEL):
        with self.assertRaisesRegex(bilens.InputError, words) as caught:
            bilens.decompose(model, data=ids, k=1, surrogate="calibrated", corpus={"tokens": 10})
        self.assertNotIn("--", str(caught.exception))

    def test_what_are_no_ids(self):
        rows = torch.from_numpy(DOCUMENTS)
        self.refuse("whole numbers, found dtype float32", rows.float())
        self.refuse("whole numbers, found dtype bool", rows > 5)
        self.refuse("whole numbers, found dtype bool", [True, False])
        self.refuse("whole numbers, found dtype float64", [[1.0, 2.0], [1.0, 3.0]])
        self.refuse("whole numbers, found str", ["Once upon", "a time"])
        self.refuse(r"\[documents, n\], found shape \[1, 60, 20\]", rows[None])
        self.refuse(r"document 0: expected ids \[n\] of one document", [rows])
        self.refuse("token ids, found none", rows[:0])
        self.refuse("token ids, found none", [])
        self.refuse("document 1: expected token ids, found none", [rows[0], rows[1][:0]])
        self.refuse("whole numbers, found int", 5)
        self.refuse("at least 2 tokens|a text of 20 tokens", [5])

    def test_ids_of_another_vocabulary(self):
        ids = torch.from_numpy(DOCUMENTS).clone()
        ids[3, 4] = VOCABULARY
        self.refuse(r"document 3: expected ids from 0 to 96.*found 97 as token 4", ids)
        ids[3, 4] = -100
        self.refuse("found -100 as token 4.*input_ids", ids)
        self.refuse("found 97 as token 0", [VOCABULARY, 2, 3])

    def test_documents_whose_beginnings_are_not_known(self):
        ids = DOCUMENTS.copy()
        ids[5, 0] = 9
        self.refuse("1 at the start of document 0, 9 of document 5.*Put BOS", ids)
        ids = DOCUMENTS.copy()
        ids[5, 9] = BOS
        self.refuse("1 at 61 places in 60 documents", ids)

    def test_padding(self):
        padded = llama(pad_token_id=0)
        ids = DOCUMENTS.copy()
        ids[7, 15:] = 0
        self.refuse("document 7: .*padding, id 0.*list of the documents", ids, padded)
        bilens.decompose(MODEL, data=ids, k=1, surrogate="calibrated", corpus={"tokens": 10})
        ended = llama(pad_token_id=2, eos_token_id=2)
        ids[7, 15:] = 2
        self.refuse("document 7: .*padding, id 2", ids, ended)
        ids[7, 15:] = [5, 6, 7, 8, 2]  # an EOS alone is the document's
        bilens.decompose(ended, data=ids, k=1, surrogate="calibrated", corpus={"tokens": 10})
        begun = llama(pad_token_id=BOS)
        bilens.decompose(begun, data=DOCUMENTS, k=1, surrogate="calibrated", corpus={"tokens": 10})


if __name__ == "__main__":
    unittest.main()
