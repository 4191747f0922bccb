"""Token cards in Python against numpy, and against the study of the command line."""

import copy
import json
import pathlib
import pickle
import sys
import tempfile
import types
import unittest
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from bilens_cli import run, settings
from llamas import Words, llama
from notebook import checked
from pages import HOSTILE
from python_package import bilens

SETTINGS = {"k": 3, "layers": [0, 1], "directions": {"kind": "unembedding", "tokens": [7, 9]}, "threads": 2}
KEYS = ("ids", "cosines", "quantiles")


class WithAModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="bilens-cards-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.model = llama(vocabulary=60)
        cls.path = cls.folder / "model"
        cls.path.mkdir()
        save_file(cls.model.state_dict(), cls.path / "model.safetensors", {"format": "pt"})
        (cls.path / "config.json").write_text(json.dumps(cls.model.config.to_dict(), default=str))
        cls.d = bilens.decompose(cls.model, **SETTINGS)

    def decompose_by_program(self, name, given):
        out = self.folder / name
        done = run("decompose", self.path, "--out", out, *settings({"analyses": ["tokens"], **given}))
        self.assertEqual(done.returncode, 0, done.stderr)
        return out

    def assert_same(self, cards, folder):
        tensors = load_file(folder / "study.safetensors")
        for number, layer in cards.layers.items():
            for key in KEYS:
                for basis, name in (("embedding", key), ("unembedding", "unembedding_" + key)):
                    expected = tensors[f"layer_{number}.cards.{basis}.{key}"]
                    self.assertEqual(getattr(layer, name).dtype, expected.dtype)
                    self.assertTrue(torch.equal(getattr(layer, name), expected), (number, basis, key))
        study = json.loads((folder / "study.json").read_text())
        self.assertEqual(
            [layer.words for layer in cards.layers.values()], [entry["words"] for entry in study["layers"]]
        )
        return study


class AsTheCommandLine(WithAModel):
    def test_of_a_module(self):
        folder = self.decompose_by_program("all", SETTINGS)
        cards = self.d.cards(model=self.model)
        study = self.assert_same(cards, folder)
        self.assertEqual(cards.vocabulary, study["vocabulary"])
        self.assertEqual(list(cards.layers), [0, 1])
        self.assertEqual(cards.layers[0].ids.shape, (2, 3, 2, 8))
        self.assertEqual(cards.layers[0].directions, ["#7", "#9"])
        self.assertTrue(torch.equal(cards.layers[1].eigenvalues, self.d.layers[1].eigenvalues))
        for source in (self.path, str(self.path), self.model.state_dict()):
            if isinstance(source, dict):
                with self.assertRaisesRegex(bilens.InputError, "without a config"):
                    self.d.cards(model=source)
            else:
                self.assert_same(self.d.cards(model=source), folder)

    def test_settings_of_the_decomposition(self):
        given = {**SETTINGS, "tokens": {"nearest": 4, "random_directions": 60, "seed": 5}}
        folder = self.decompose_by_program("other", given)
        d = bilens.decompose(self.model, **given)
        self.assert_same(d.cards(model=self.model), folder)
        self.assertEqual(d.cards(model=self.model, nearest=9).layers[0].ids.shape, (2, 3, 2, 9))
        self.assertEqual(d.cards(model=self.model, nearest=1000).layers[0].ids.shape, (2, 3, 2, 60))
        for wrong in (0, 1001):
            with self.assertRaisesRegex(bilens.UsageError, "nearest"):
                d.cards(model=self.model, nearest=wrong)

    def test_a_study_that_is_there(self):
        folder = self.decompose_by_program("there", SETTINGS)
        for d in (
            bilens.load(folder),
            bilens.decompose(self.path, out=self.folder / "mine", analyses=["tokens"], **SETTINGS),
        ):
            with self.subTest(d._folder):
                self.assert_same(d.cards(), folder)
                self.assertEqual(d.cards(Words(60)).nearest(1, 0, 0)[0][0][:1].isdigit(), False)
                with self.assertRaisesRegex(bilens.UsageError, "nearest: expected 8, as the study has, found 3"):
                    d.cards(nearest=3)
                with self.assertRaisesRegex(bilens.UsageError, "tokenizer: expected none beside a study"):
                    d.cards(folder / "tokenizer.model")
                with self.assertRaisesRegex(bilens.InputError, "at most the 60 tokens.*another model's"):
                    d.cards(Words(61))
                self.assertEqual(d.cards(nearest=3, model=self.model).layers[0].ids.shape, (2, 3, 2, 3))
        d = bilens.load(folder)
        bilens.decompose(self.path, out=folder, overwrite=True, analyses=["tokens"], **{**SETTINGS, "k": 2})
        with self.assertRaisesRegex(bilens.InputError, "the decomposition that was loaded, found another"):
            d.cards()

    def test_the_model_is_opened_where_it_was(self):
        d = bilens.decompose(self.path, **SETTINGS)
        self.assert_same(d.cards(), self.decompose_by_program("again", SETTINGS))
        again = pickle.loads(pickle.dumps(d))
        self.assertTrue(torch.equal(again.cards().layers[0].cosines, d.cards().layers[0].cosines))

    def test_a_module_of_what_was_decomposed_by_its_path(self):
        """In other files the hash is another: then the numbers that cards follow from are compared."""
        path = self.folder / "half"
        model = copy.deepcopy(self.model).bfloat16()
        model.save_pretrained(path, max_shard_size="5kB")
        self.assertGreater(len(list(path.glob("*.safetensors"))), 1)
        d = bilens.decompose(path, **SETTINGS)
        expected = d.cards()
        with torch.no_grad():  # attention does not count here
            model.model.layers[0].self_attn.q_proj.weight.zero_()
        for other in (model, copy.deepcopy(model).float()):
            found = d.cards(model=other)
            for number, layer in expected.layers.items():
                self.assertTrue(torch.equal(found.layers[number].ids, layer.ids))
                self.assertTrue(torch.equal(found.layers[number].cosines, layer.cosines))
        for name in (
            "model.embed_tokens.weight",
            "lm_head.weight",
            "model.norm.weight",
            "model.layers.1.mlp.up_proj.weight",
            "model.layers.0.post_attention_layernorm.weight",
        ):
            with self.subTest(name):
                moved = copy.deepcopy(model)
                with torch.no_grad():
                    moved.get_parameter(name).view(-1)[0] += 0.5
                with self.assertRaisesRegex(bilens.InputError, "model: expected the weights that were decomposed"):
                    d.cards(model=moved)
        path.rename(self.folder / "away")
        with self.assertRaisesRegex(bilens.InputError, "by its path if it was decomposed by its path"):
            d.cards(model=model)
        self.assertTrue(torch.equal(d.cards(model=self.folder / "away").layers[0].ids, expected.layers[0].ids))

    def test_a_folder_of_the_hubs_cache(self):
        cached = self.folder / "models--some--data"
        (cached / "blobs").mkdir(parents=True)
        (cached / "snapshots").mkdir()
        (cached / "snapshots/c0ffee").symlink_to(self.path)
        d = bilens.decompose(cached, **SETTINGS)
        self.assertEqual(d.info["model"], str(cached / "snapshots/c0ffee"))
        self.assertTrue(torch.equal(d.cards().layers[0].ids, self.d.cards(model=self.model).layers[0].ids))
        (cached / "refs").mkdir()
        (cached / "refs/main").write_text("beef")
        with self.assertRaisesRegex(bilens.InputError, "models--some--data/refs/main"):
            bilens.decompose(cached, **SETTINGS)

    def test_gated(self):
        model = llama("silu", vocabulary=60)
        given = {"surrogate": "half", "k": 2, "layers": [1]}
        d = bilens.decompose(model, **given)
        self.assertEqual(d.cards(model=model).layers[1].ids.shape, (16, 2, 2, 8))


class AgainstNumpy(WithAModel):
    def test_cosines(self):
        w = {name: tensor.double().numpy() for name, tensor in self.model.state_dict().items()}
        bases = {"": w["model.embed_tokens.weight"], "unembedding_": w["lm_head.weight"] * w["model.norm.weight"]}
        cards = self.d.cards(model=self.model)
        for prefix, rows in bases.items():
            rows = rows - rows.mean(0)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            for number, layer in cards.layers.items():
                cosines = self.d.layers[number].eigenvectors.double().numpy() @ rows.T
                order = np.sort(cosines)
                found = getattr(layer, prefix + "cosines").numpy()
                np.testing.assert_allclose(found[:, :, 0], order[..., ::-1][..., :8], rtol=0, atol=1e-6)
                np.testing.assert_allclose(found[:, :, 1], order[..., :8], rtol=0, atol=1e-6)
                ids = getattr(layer, prefix + "ids").numpy()
                taken = np.take_along_axis(cosines[:, :, None].repeat(2, 2), ids.astype(int), -1)
                np.testing.assert_allclose(found, taken, rtol=0, atol=1e-6)


class Refused(WithAModel):
    def test_other_models(self):
        with self.assertRaisesRegex(bilens.UsageError, "model: expected the model that was decomposed.*model="):
            self.d.cards()
        moved = copy.deepcopy(self.model)
        with torch.no_grad():
            moved.model.embed_tokens.weight[3, 3] += 1e-3
        with self.assertRaisesRegex(bilens.InputError, "model: expected the weights that were decomposed.*others"):
            self.d.cards(model=moved)
        with self.assertRaisesRegex(bilens.InputError, "at most the 60 tokens.*another model's"):
            self.d.cards(Words(61), model=self.model)
        with self.assertRaisesRegex(bilens.UsageError, "tokenizer"):
            self.d.cards(7, model=self.model)
        with self.assertRaisesRegex(bilens.InputError, "nowhere"):
            self.d.cards("/nowhere.model", model=self.model)

    def test_what_has_no_tokens(self):
        gate, up, down = torch.randn(8, 4), torch.randn(8, 4), torch.eye(8)
        matrices = bilens.decompose(gate, up, down, k=1)
        with self.assertRaisesRegex(bilens.InputError, "weights that were decomposed, gate, up, down"):
            matrices.cards(model=self.model)
        mlp = bilens.nn.BilinearMLP(4, 8)
        with self.assertRaisesRegex(bilens.InputError, "without a config"):
            bilens.decompose(mlp, k=1).cards(model=mlp)
        unfolded = bilens.decompose(self.model, fold_norm=False, layers=[0], k=2)
        with self.assertRaisesRegex(bilens.UsageError, "before the norm's gain"):
            unfolded.cards(model=self.model)
        factors = bilens.decompose(self.model, method="hosvd", layers=[0], k=2)
        with self.assertRaisesRegex(bilens.UsageError, "eigenvectors"):
            factors.cards(model=self.model)


class Shown(WithAModel):
    def test_tokenizers(self):
        words = Words(50)
        cards = self.d.cards(words, model=self.model)
        self.assertEqual(cards.vocabulary, [*words.pieces, *(f"#{number}" for number in range(50, 60))])
        near, opposite = cards.nearest(0, 1, 2)
        ids = cards.layers[0].ids[1, 2].tolist()
        self.assertEqual([near, opposite], [[cards.vocabulary[i] for i in side] for side in ids])

    def test_text(self):
        cards = self.d.cards(Words(60), model=self.model)
        lines = repr(cards).splitlines()
        self.assertEqual(len(lines), 1 + 2 * 2 * 3)
        layer = cards.layers[1]
        near = " ".join(cards.nearest(1, 0, 2)[0][:5])
        line = next(line for line in lines if line.startswith("  layer 1, #7, 2: "))
        self.assertIn(f"{near} ({layer.cosines[0, 2, 0, 0]:.2f}, quantile {layer.quantiles[0, 2, 0, 0]:.3f}) | ", line)
        many = bilens.decompose(self.model, k=4, layers=[0]).cards(model=self.model)
        self.assertIn("and 44 more eigenvectors", repr(many))

    def test_rows(self):
        cards = self.d.cards(model=self.model)
        rows = cards.rows
        self.assertEqual(len(rows), 2 * 2 * 2 * 3 * 2 * 8)
        for row in (rows[0], rows[17], rows[150], rows[-1]):
            layer = cards.layers[row["layer"]]
            u = layer.directions.index(row["direction"])
            at = (u, row["eigenvector"], (1 - row["side"]) // 2, row["rank"])
            prefix = "" if row["basis"] == "embedding" else "unembedding_"
            self.assertEqual(row["id"], getattr(layer, prefix + "ids")[at].item())
            self.assertEqual(row["cosine"], getattr(layer, prefix + "cosines")[at].item())
            self.assertEqual(row["quantile"], getattr(layer, prefix + "quantiles")[at].item())
            self.assertEqual(row["token"], f"#{row['id']}")
            self.assertEqual(row["eigenvalue"], layer.eigenvalues[at[:2]].item())
        with mock.patch.dict(sys.modules, pandas=types.SimpleNamespace(DataFrame=dict)):
            self.assertEqual(list(cards.table()), list(rows.dtype.names))

    def test_in_a_notebook(self):
        cards = self.d.cards(Words(60), model=self.model)
        parsed = checked(self, cards)
        self.assertEqual(len(parsed.of("table")), 4)
        self.assertEqual(len(parsed.of("tr")), 4 * (1 + 3))
        said = parsed.said()
        first = cards.layers[0]
        self.assertIn(f"({first.cosines[0, 0, 0, 0]:.2f}, {first.quantiles[0, 0, 0, 0]:.3f})", said)
        self.assertIn(first.words, said)
        self.assertIn("#9", said)

    def test_size(self):
        words = Words(60)
        words.pieces = ['"&' * 60 + str(number) for number in range(59)] + [HOSTILE]
        model = llama(vocabulary=60, layers=10)
        parsed = checked(self, bilens.decompose(model, k=8).cards(words, model=model))
        self.assertIn("and 2 more layers", parsed.said())
        self.assertIn("and 14 more directions", parsed.said())
        self.assertIn("and 3 more", parsed.said())
        one = checked(self, bilens.decompose(model, k=8, layers=[3]).cards(words, model=model))
        self.assertEqual(len(one.of("table")), 16)

    def test_pickled(self):
        cards = self.d.cards(model=self.model)
        self.assertEqual(repr(pickle.loads(pickle.dumps(cards))), repr(cards))


if __name__ == "__main__":
    unittest.main()
