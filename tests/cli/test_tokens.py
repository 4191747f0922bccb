"""Language models decomposed along tokens, and their eigenvectors read in tokens, held against numpy."""
import json
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run, test_data
from classifiers import write_model as write_classifier
from language_models import embedding, folded, forward, interaction_matrix, unembedding, write_llama

EXACT = ("--set", "dtype=float64", "--set", "k=all", "--set", "analyses=[]")


class Tokens(TestCase):
    def setUp(self):
        super().setUp()
        self.model = self.folder / "model"
        self.runs = 0

    def decompose(self, *flags, directions=None, expect=0, model=None):
        """Runs into a folder of its own, self.out; the JSON document."""
        self.runs += 1
        self.out = self.folder / f"out{self.runs}"
        if directions is not None:
            flags += ("--set", "directions=" + json.dumps(directions))
        done = run("decompose", model or self.model, "--out", self.out, "--json", *flags)
        self.check(done, expect)
        return self.document(done)

    def layer(self, number=0):
        return load_file(self.out / f"layer_{number}.safetensors")

    def description(self):
        return json.loads((self.out / "decomposition.json").read_text())

    def study(self):
        return json.loads((self.out / "study.json").read_text())["tokens"], load_file(self.out / "study.safetensors")

    def message(self, *flags, expect=2, **options):
        return self.decompose(*flags, expect=expect, **options)["failures"][0]["message"]


class Directions(Tokens):
    def check_matrices(self, w, expected, half=False, layers=3):
        """The stored directions are the expected ones, and all eigenpairs together their interaction matrices."""
        for number in range(layers):
            layer = self.layer(number)
            np.testing.assert_allclose(layer["directions"], expected, atol=1e-12 * abs(expected).max())
            for u, values, vectors in zip(expected, layer["eigenvalues"], layer["eigenvectors"]):
                q = interaction_matrix(w, number, u, half)
                np.testing.assert_allclose(vectors.T @ np.diag(values) @ vectors, q, atol=1e-12 * np.linalg.norm(q))

    def test_token_sets(self):
        for tied in (False, True):
            w = write_llama(self.folder / f"tied{tied}", tied=tied)
            self.decompose(*EXACT, directions={"kind": "tokens", "plus": [17, 40], "minus": [5]}, model=self.folder / f"tied{tied}")
            rows = unembedding(w, centred=False)
            self.check_matrices(w, (rows[[17, 40]].mean(0) - rows[5])[None])
        (first, *_) = self.description()["layers"]
        self.assertEqual(first["direction_names"], ["#17, #40 − #5"])
        self.assertEqual((first["directions"], first["center"], first["input_space"]), ("tokens", "mean", "model"))
        self.assertIsNone(self.description()["surrogate"])

    def test_centring_and_the_gain_are_choices(self):
        w = write_llama(self.model)
        one = {"kind": "tokens", "plus": [8]}
        self.decompose(*EXACT, directions=one)
        self.check_matrices(w, unembedding(w)[[8]])
        self.decompose(*EXACT, "--set", "center=none", directions=one)
        self.check_matrices(w, unembedding(w, centred=False)[[8]])
        self.decompose(*EXACT, "--set", "center=none", "--set", "fold_norm=false", directions=one)
        np.testing.assert_allclose(self.layer()["directions"], w["lm_head.weight"][[8]], atol=1e-12)

    def test_unembedding_rows(self):
        w = write_llama(self.model, bias=True)
        ids = [3, 299, 0, 3]
        self.decompose(*EXACT, "--set", "energy=exact", directions={"kind": "unembedding", "tokens": ids})
        self.check_matrices(w, unembedding(w)[ids])
        (first, *_) = self.description()["layers"]
        self.assertEqual(first["direction_names"], ["#3", "#299", "#0", "#3"])
        rows = unembedding(w, centred=False)
        square = lambda u: (interaction_matrix(w, 0, u) ** 2).sum()
        share = 4 * square(rows.mean(0)) / sum(square(rows[i]) for i in ids)
        self.assertAlmostEqual(first["mean_energy_share"], share, delta=1e-10)
        self.assertTrue(first["has_linear"])

    def test_the_kinds_that_every_model_has(self):
        w = write_llama(self.model)
        self.decompose(*EXACT, directions={"kind": "axes"})
        for u in (0, 7, 15):
            layer = self.layer(1)
            q = interaction_matrix(w, 1, np.eye(16)[u])
            np.testing.assert_allclose(layer["eigenvectors"][u].T * layer["eigenvalues"][u] @ layer["eigenvectors"][u], q, atol=1e-12)
        self.assertIsNone(self.description()["layers"][0]["direction_names"])
        self.decompose(*EXACT, directions={"kind": "random", "count": 2, "seed": 1})
        random = self.layer()["directions"]
        np.testing.assert_allclose(np.linalg.norm(random, axis=1), 1)
        self.check_matrices(w, random)
        save_file({"probes": np.arange(64, dtype=np.float32).reshape(16, 4)}, self.folder / "probes.safetensors")
        path = str(self.folder / "probes.safetensors")
        self.decompose(*EXACT, directions={"kind": "file", "path": path, "tensor": "probes[0:16].T"})
        self.check_matrices(w, np.arange(64.0).reshape(16, 4).T)
        self.assertIn("shape", self.message(directions={"kind": "file", "path": path, "tensor": "probes"}, expect=3))
        self.decompose(*EXACT, directions={"kind": "hosvd", "count": 2})
        for number in range(3):
            tensor = np.stack([interaction_matrix(w, number, u).ravel() for u in np.eye(16)])
            left, sizes, _ = np.linalg.svd(tensor, full_matrices=False)
            found = self.layer(number)
            np.testing.assert_allclose(abs((found["directions"] * left[:, :2].T).sum(1)), 1, atol=1e-9)
            # The matrix of a left singular vector has that singular value as its norm.
            np.testing.assert_allclose(found["frobenius"], sizes[:2], rtol=1e-9)

    def test_what_changed_between_two_models(self):
        """Along tokens of the first; a surrogate of either is said."""
        a, b = write_llama(self.model), write_llama(self.folder / "b", act="silu", seed=4)
        self.decompose(*EXACT, "--minus", self.folder / "b", "--set", "surrogate=half", directions={"kind": "tokens", "plus": [9]})
        (u,) = unembedding(a)[[9]]
        q = interaction_matrix(a, 1, u) - interaction_matrix(b, 1, u, half=True)
        values, vectors = (self.layer(1)[name][0] for name in ("eigenvalues", "eigenvectors"))
        np.testing.assert_allclose(vectors.T @ np.diag(values) @ vectors, q, atol=1e-12 * np.linalg.norm(q))
        self.assertEqual(self.description()["surrogate"]["hidden_act"], "silu")

    def test_models_without_tokens(self):
        write_classifier(self.folder / "digits", d_model=4, d_hidden=4)
        for flags in ({"directions": {"kind": "tokens", "plus": [1]}}, {}):
            message = self.message("--set", 'analyses=["tokens"]', model=self.folder / "digits", expect=3, **flags)
            self.assertIn("bilinear_mlp", message)

    def test_bad_tokens(self):
        write_llama(self.model)
        self.assertIn("from 0 to 299", self.message(directions={"kind": "tokens", "plus": [300]}))
        self.assertIn("tokenizer", self.message(directions={"kind": "tokens", "plus": ["cat"]}))
        for spec in ({"kind": "tokens", "plus": []}, {"kind": "tokens", "minus": [1]}, {"kind": "tokens", "plus": [-1]},
                     {"kind": "tokens", "plus": [1.5]}, {"kind": "unembedding"}, {"kind": "unembedding", "tokens": "all"},
                     {"kind": "tokens", "plus": [1], "tokens": [2]}):
            with self.subTest(spec):
                self.assertIn("directions", self.message(directions=spec))
        save_file({f"mlp.{n}_proj.weight": np.ones((3, 3), np.float32) for n in ("gate", "up")}, self.folder / "layer.safetensors")
        self.assertIn("config.json", self.message(directions={"kind": "tokens", "plus": [1]}, expect=3, model=self.folder / "layer.safetensors"))


class Surrogate(Tokens):
    def test_a_gated_model_is_refused_unless_its_half_is_asked_for(self):
        for act in ("silu", "gelu", "relu"):
            w = write_llama(self.folder / act, act=act, bias=True)
            self.assertIn("surrogate", self.message(model=self.folder / act, expect=3))
            directions = {"kind": "random", "count": 2, "seed": 0}
            document = self.decompose(*EXACT, "--set", "surrogate=half", directions=directions, model=self.folder / act)
            found = self.layer(2)
            for u, values, vectors in zip(found["directions"], found["eigenvalues"], found["eigenvectors"]):
                q = interaction_matrix(w, 2, u, half=True)
                np.testing.assert_allclose(vectors.T @ np.diag(values) @ vectors, q, atol=1e-12 * np.linalg.norm(q))
            # The gate's bias is halved with its weight: l = ½Wᵀ(s⊙c) + Vᵀ(s⊙½b).
            tensor = lambda name: w[f"model.layers.2.mlp.{name}"]
            s = found["directions"] @ tensor("down_proj.weight")
            linear = ((s * tensor("up_proj.bias")) @ folded(w, 2, "gate_proj")
                      + (s * tensor("gate_proj.bias")) @ folded(w, 2, "up_proj")) / 2
            np.testing.assert_allclose(found["linear"], linear, atol=1e-12 * abs(linear).max())
            self.assertEqual(list(self.description())[:4], ["format", "format_version", "version", "surrogate"])
            surrogate = self.description()["surrogate"]
            self.assertEqual((surrogate["kind"], surrogate["hidden_act"]), ("half", act))
            self.assertEqual(document["results"][0]["surrogate"], surrogate)

    def test_a_bilinear_model_needs_none(self):
        w = write_llama(self.model)
        self.decompose(*EXACT, "--set", "surrogate=half", directions={"kind": "tokens", "plus": [1]})
        values = self.layer()["eigenvalues"][0]
        np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(interaction_matrix(w, 0, unembedding(w)[1])), atol=1e-12)
        self.assertIsNone(self.description()["surrogate"])

    def test_an_activation_that_is_not_said(self):
        """Hugging Face's default is silu."""
        write_llama(self.model)
        config = json.loads((self.model / "config.json").read_text())
        del config["hidden_act"]
        (self.model / "config.json").write_text(json.dumps(config))
        self.assertIn("surrogate", self.message(expect=3))
        self.assertIn("half", self.message("--set", "surrogate=halved"))


class Cards(Tokens):
    """The analysis "tokens" of a random model, in float64."""

    FLAGS = ("--set", "dtype=float64", "--set", 'analyses=["tokens"]', "--set", "tokens.nearest=5", "--set", "tokens.interactions=12")

    def setUp(self):
        super().setUp()
        self.w = write_llama(self.model)
        self.decompose(*self.FLAGS, "--set", "k=3", "--set", "energy=off", directions={"kind": "unembedding", "tokens": [7, 30]})

    def cosines(self, vectors, basis):
        rows = embedding(self.w) if basis == "embedding" else unembedding(self.w)
        return vectors @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T

    def check_card(self, ids, cosines, quantiles, vectors, basis, null):
        """Cards of vectors [..., d]."""
        true = self.cosines(vectors, basis)
        order = np.argsort(true, axis=-1)
        np.testing.assert_array_equal(ids[..., 0, :], order[..., :-6:-1])
        np.testing.assert_array_equal(ids[..., 1, :], order[..., :5])
        np.testing.assert_allclose(cosines, np.take_along_axis(true[..., None, :], ids.astype(int), -1), atol=1e-12)
        sides = cosines * np.array([1, -1])[:, None]
        shares = np.stack([(null[:, j] < sides[..., j, None]).mean(-1) for j in range(5)], -1)
        np.testing.assert_allclose(quantiles, shares, atol=1e-12)

    def test_cards(self):
        tokens, tensors = self.study()
        self.assertEqual(tokens["vocabulary"], [f"#{i}" for i in range(300)])
        for number in range(3):
            vectors = self.layer(number)["eigenvectors"]
            for basis in ("embedding", "unembedding"):
                null = tensors[f"tokens.{basis}.null_cosines"]
                self.assertEqual(null.shape, (1000, 5))
                part = lambda kind: [tensors[f"layer_{number}.{kind}.{basis}.{x}"] for x in ("ids", "cosines", "quantiles")]
                self.check_card(*part("cards"), vectors, basis, null)
                # Controls: other vectors, but cards all the same. Their cosines are those of one vector each.
                for kind, shape in (("random_card", (2, 5)), ("permuted_cards", (2, 2, 5))):
                    ids, cosines, quantiles = part(kind)
                    self.assertEqual(ids.shape, shape)
                    self.assertFalse(np.isin(cosines.ravel(), part("cards")[1]).any())

    def test_the_null_has_the_embeddings_covariance(self):
        """Against directions drawn by numpy. 1,000 cosines (500 directions, both sides) put the median's place to .022."""
        _, tensors = self.study()
        rows, rng = embedding(self.w), np.random.default_rng(1)
        drawn = rng.standard_normal((4000, 300)) @ rows
        isotropic = rng.standard_normal((4000, 16))
        for basis in ("embedding", "unembedding"):
            null = tensors[f"tokens.{basis}.null_cosines"]
            places = []
            for directions in (drawn, isotropic):
                cosines = self.cosines(directions / np.linalg.norm(directions, axis=1, keepdims=True), basis)
                best = np.sort(cosines, axis=1)[:, ::-1][:, :5]
                places.append((best[:, None, :] < np.quantile(null, (0.1, 0.5, 0.9), axis=0)[None]).mean(0))
            np.testing.assert_allclose(places[0], np.repeat([[0.1], [0.5], [0.9]], 5, 1), atol=0.08)
            if basis == "embedding":
                self.assertGreater(abs(places[1][1] - 0.5).max(), 0.2)  # another distribution would be seen

    def test_interactions_are_the_largest_of_the_square(self):
        _, tensors = self.study()
        rows = embedding(self.w)
        lengths = np.linalg.norm(rows, axis=1)
        for number in range(3):
            layer = self.layer(number)
            for u, direction in enumerate(unembedding(self.w)[[7, 30]]):
                values, vectors = layer["eigenvalues"][u], layer["eigenvectors"][u]
                a = rows @ vectors.T
                square = lambda q: np.triu(q, 1) * 2 + np.diag(np.diag(q))
                truncated = square(a @ np.diag(values) @ a.T)
                i, j = tensors[f"layer_{number}.interactions.tokens"][u].T
                found, bounds = (tensors[f"layer_{number}.interactions.{x}"][u] for x in ("values", "bounds"))
                np.testing.assert_allclose(found, truncated[i, j], atol=1e-12 * abs(truncated).max())
                np.testing.assert_allclose(abs(found), np.sort(abs(truncated).ravel())[::-1][:12], rtol=1e-10)
                whole = square(rows @ interaction_matrix(self.w, number, direction) @ rows.T)
                self.assertTrue((abs(whole[i, j] - found) <= bounds + 1e-10).all())
                # Without energy and proof: nothing beside the listed ones has a larger |λ| than the last of them.
                np.testing.assert_allclose(bounds, np.where(i == j, 1, 2) * lengths[i] * lengths[j] * abs(values[-1]), rtol=1e-10)

    def test_the_bound_takes_what_is_known(self):
        one = {"kind": "tokens", "plus": [7]}
        scale = {}
        for name, flags in (("listed", ("--set", "energy=off")), ("energy", ("--set", "energy=exact")),
                            ("proved", ("--set", "energy=off", "--set", "certify=true")), ("all", ("--set", "k=all"))):
            self.decompose(*self.FLAGS, "--set", "layers=[1]", "--set", "k=14", *flags, directions=one)
            _, tensors = self.study()
            i, j = tensors["layer_1.interactions.tokens"][0].T
            lengths = np.linalg.norm(embedding(self.w), axis=1)
            reach = tensors["layer_1.interactions.bounds"][0] / (np.where(i == j, 1, 2) * lengths[i] * lengths[j])
            np.testing.assert_allclose(reach, reach[0], atol=1e-12)
            scale[name], layer = reach[0], self.layer(1)
            if name == "proved":
                self.assertAlmostEqual(reach[0], min(layer["certified_bound"][0], abs(layer["eigenvalues"][0, -1])), delta=1e-12)
        true = np.sort(abs(np.linalg.eigvalsh(interaction_matrix(self.w, 1, unembedding(self.w)[7]))))[::-1]
        self.assertAlmostEqual(scale["listed"], true[13], delta=1e-10)
        self.assertAlmostEqual(scale["energy"], min(true[13], np.hypot(true[14], true[15])), delta=1e-6)
        self.assertLess(scale["proved"], scale["listed"])
        self.assertGreaterEqual(scale["proved"], true[14])
        self.assertEqual(scale["all"], 0)

    def test_one_hidden_unit_cannot_be_permuted(self):
        """The control is the layer itself there: what it is computed from is what it says."""
        write_llama(self.folder / "narrow", h=1)
        self.decompose(*self.FLAGS, "--set", "k=3", directions={"kind": "unembedding", "tokens": [7, 30]}, model=self.folder / "narrow")
        _, tensors = self.study()
        np.testing.assert_allclose(tensors["layer_2.permuted_eigenvalues"], self.layer(2)["eigenvalues"][:, 0], rtol=1e-10)
        np.testing.assert_array_equal(tensors["layer_2.permuted_cards.embedding.ids"], tensors["layer_2.cards.embedding.ids"][:, 0])

    def test_each_layer_says_which_basis_is_its_own(self):
        tokens, _ = self.study()
        own = [(layer["embedding_is_own"], layer["unembedding_is_own"]) for layer in tokens["layers"]]
        self.assertEqual(own, [(True, False), (False, False), (False, True)])
        self.assertIn("not this layer's own", tokens["layers"][1]["words"])
        self.assertEqual({k: tokens[k] for k in ("nearest", "interactions", "random_directions", "seed")},
                         {"nearest": 5, "interactions": 12, "random_directions": 500, "seed": 0})

    def test_the_result_of_the_command(self):
        """The seed repeats it, another one draws others; methods without eigenpairs have no cards."""
        first = (self.out / "study.safetensors").read_bytes()
        directions = {"kind": "unembedding", "tokens": [7, 30]}
        document = self.decompose(*self.FLAGS, "--set", "k=3", "--set", "energy=off", directions=directions)
        self.assertEqual((self.out / "study.safetensors").read_bytes(), first)
        (result,) = document["results"]
        card = result["layers"][2]["tokens"][1]
        _, tensors = self.study()
        self.assertEqual(card["direction"], "#30")
        self.assertEqual(card["negative"]["tokens"], [f"#{i}" for i in tensors["layer_2.cards.embedding.ids"][1, 0, 1]])
        self.assertEqual(card["positive"]["quantile"], tensors["layer_2.cards.embedding.quantiles"][1, 0, 0, 0])
        self.decompose(*self.FLAGS, "--set", "k=3", "--set", "tokens.seed=1", "--set", "tokens.interactions=0", directions=directions)
        _, other = self.study()
        self.assertFalse(np.array_equal(other["tokens.embedding.null_cosines"], tensors["tokens.embedding.null_cosines"]))
        self.assertNotIn("layer_0.interactions.tokens", other)
        self.decompose(*self.FLAGS, "--set", "k=3", "--set", "method=hosvd")
        self.assertEqual(self.study()[0]["layers"], [])

    def test_contradictions(self):
        self.assertIn("fold_norm", self.message(*self.FLAGS, "--set", "fold_norm=false"))
        self.assertIn("tokens.nearest", self.message("--set", "tokens.nearest=0"))
        self.assertIn("analyses", self.message("--set", 'analyses=["token"]'))

    def test_the_report_reads_it(self):
        self.check(run("report", self.out, "--out", self.folder / "page.html"), 0)


class Words(Tokens):
    """The published stories260K, as it is and bilinear."""

    def setUp(self):
        super().setUp()
        self.data = test_data("stories260K") / "stories260K"
        self.check(run("convert", self.data / "stories260K.bin", self.model, "--tokenizer", self.data / "tok512.model"), 0)
        self.half = ("--set", "surrogate=half")

    def names(self, plus, *flags, **options):
        self.decompose("--set", "layers=[0]", "--set", "analyses=[]", *self.half, *flags,
                       directions={"kind": "tokens", "plus": plus}, **options)
        return self.description()["layers"][0]["direction_names"]

    def test_words_and_pieces(self):
        for word, piece in (("she", "▁she"), (" she", "▁she"), ("▁she", "▁she"), ("ittle", "ittle"), ("<0x0A>", "<0x0A>"),
                            ("é", "é"), (" ", "▁")):
            with self.subTest(word):
                self.assertEqual(self.names([word]), [piece])
        self.assertEqual(self.names([317]), ["▁Lily"])

    def test_a_word_that_is_not_one_token(self):
        for word, pieces in ((" elephant", '"▁e", "le", "p", "h", "an", "t"'), ("cat", '"▁c", "at"'), ("", '""')):
            message = self.message(*self.half, directions={"kind": "tokens", "plus": ["she"], "minus": ["he", word]})
            self.assertIn("directions.minus[1]", message)
            self.assertIn(pieces, message)

    def test_tokenizers(self):
        (self.model / "tokenizer.model").rename(self.folder / "elsewhere.model")
        self.assertIn("no tokenizer.model", self.message(*self.half, directions={"kind": "tokens", "plus": ["she"]}))
        self.assertEqual(self.names([1, 2]), ["#1, #2"])
        self.assertEqual(self.names(["she"], "--set", f"tokenizer={self.folder / 'elsewhere.model'}"), ["▁she"])
        (self.model / "tokenizer.model").write_bytes(b"damaged")
        self.assertIn("SentencePiece", self.message(*self.half, directions={"kind": "tokens", "plus": [1]}, expect=3))

    def test_the_file_of_llama2c_is_gated_too(self):
        file = self.data / "stories260K.bin"
        self.assertIn("surrogate", self.message(model=file, expect=3))
        self.names([300], model=file)
        from_file = self.layer()
        self.names([300])
        for name, tensor in self.layer().items():
            np.testing.assert_allclose(from_file[name], tensor, rtol=1e-6, atol=1e-6, err_msg=name)

    def test_the_command_prints_what_the_cards_say(self):
        done = run("decompose", self.model, "--out", self.folder / "out", *self.half, "--set", 'analyses=["tokens"]', "--set", "k=4",
                   "--set", 'directions={"kind": "tokens", "plus": ["she", "her"], "minus": ["he", "his"]}')
        self.check(done, 0)
        self.assertIn("surrogate: The bilinear part", done.stdout)
        self.assertIn("▁she, ▁her − ▁he, ▁his: eigenvalue", done.stdout)
        vocabulary = json.loads((self.folder / "out/study.json").read_text())["tokens"]["vocabulary"]
        self.assertEqual((len(vocabulary), vocabulary[13], vocabulary[317]), (512, "<0x0A>", "▁Lily"))


class Corpus(Tokens):
    """What eigenpairs contribute on text; the study itself is held against sums token by token in C++."""

    def setUp(self):
        super().setUp()
        self.text = self.folder / "tokens.bin"
        np.random.default_rng(0).integers(1, 40, 400).astype("<u2").tofile(self.text)
        self.flags = (*EXACT[:4], "--set", 'analyses=["corpus"]')

    def test_all_eigenpairs_rebuild_a_bilinear_layer_and_not_a_gated_one(self):
        write_llama(self.model)
        data = {"dataset": "tokens", "path": str(self.text), "context": 16, "packing": "plain"}
        found = self.decompose(*self.flags, "--set", "data=" + json.dumps(data), "--set", "corpus.tokens=320")
        summary = found["results"][0]["layers"][1]["corpus"]
        self.assertEqual(summary["tokens"], 320 - 20)
        for value in (summary["form_r2"], summary["r2"][-1], summary["correlation"][-1]):
            self.assertAlmostEqual(value, 1, delta=1e-4)
        self.assertAlmostEqual(sum(summary[part] for part in ("quadratic", "linear", "constant")), 1, delta=1e-9)
        about = json.loads((self.out / "corpus.json").read_text())
        self.assertEqual((about["format"], about["tokens"], about["data"]["path"]), ("bilens-corpus", 300, str(self.text)))
        tensors = load_file(self.out / "corpus.safetensors")
        n, k = self.layer(1)["eigenvalues"].shape
        self.assertEqual(tensors["layer_1.r2"].shape, (n, k + 1))
        self.assertEqual(tensors["layer_1.contribution_mean"].shape, (n, k))
        # What the eigenpairs contribute on average is the mean of the quadratic part.
        np.testing.assert_allclose(tensors["layer_1.contribution_mean"].sum(1), tensors["layer_1.part_mean"][:, 0], rtol=1e-5, atol=1e-6)  # that one in float32
        write_llama(self.folder / "gated", act="silu")
        found = self.decompose(*self.flags, "--set", "surrogate=half", "--set", "data=" + json.dumps(data), model=self.folder / "gated")
        self.assertLess(found["results"][0]["layers"][1]["corpus"]["form_r2"], 0.999)

    def check_lines(self, w, ids):
        """Each unit's line is numpy's least-squares one on these tokens, errors weighted by the other factor squared."""
        windows = [ids[first:first + 16][:-1] for first in range(0, len(ids), 16) if len(ids[first:first + 16]) > 1]
        x = np.concatenate([forward(w, window, act="silu")[1][1][1] for window in windows])
        z, v = x @ folded(w, 1, "gate_proj").T, x @ folded(w, 1, "up_proj").T
        f = z / (1 + np.exp(-z))
        lines = load_file(self.out / "surrogate.safetensors")
        for unit in range(z.shape[1]):
            columns = np.stack([z[:, unit], np.ones(len(z))], 1) * abs(v[:, unit, None])
            (slope, offset), *_ = np.linalg.lstsq(columns, f[:, unit] * abs(v[:, unit]), rcond=None)
            self.assertAlmostEqual(lines["layer_1.slope"][unit], slope, delta=1e-4)
            self.assertAlmostEqual(lines["layer_1.offset"][unit], offset, delta=1e-4)

    def test_lines_fitted_on_text_stand_for_a_gated_layer(self):
        gated = self.folder / "gated"
        w = write_llama(gated, act="silu")
        data = {"dataset": "tokens", "path": str(self.text), "context": 16, "packing": "plain"}
        flags = (*self.flags, "--set", "data=" + json.dumps(data), "--set", "corpus.tokens=200", "--set", "corpus.sample=50")
        summaries = {}
        for kind in ("half", "calibrated"):
            found = self.decompose(*flags, "--set", f"surrogate={kind}", model=gated)["results"][0]
            summaries[kind] = found["layers"][1]["corpus"]
            tensors = load_file(self.out / "corpus.safetensors")
            error, bound = tensors["layer_1.surrogate.error"], tensors["layer_1.surrogate.bound"]
            self.assertEqual(error.shape, bound.shape)
            self.assertEqual(error.shape[1], 50)
            self.assertTrue((error <= bound * (1 + 1e-4) + 1e-9).all())
            self.assertGreater(error.max(), 0)
            self.assertLessEqual(summaries[kind]["surrogate"]["error"], summaries[kind]["surrogate"]["bound"])
        self.assertGreater(summaries["calibrated"]["form_r2"], summaries["half"]["form_r2"])
        about = self.description()["surrogate"]
        self.assertEqual((about["kind"], about["tokens"], about["first_token"]), ("calibrated", 200, 200))
        self.assertEqual([layer["layer"] for layer in about["layers"]], [0, 1, 2])
        self.assertIn("not the layer", about["meaning"])
        self.check_lines(w, np.fromfile(self.text, "<u2")[200:400])
        # Losses are measured on more tokens: the fit keeps behind them.
        self.decompose(*flags, "--set", "surrogate=calibrated", "--set", "corpus.tokens=100", "--set", "corpus.loss_tokens=300", model=gated)
        self.assertEqual(self.description()["surrogate"]["first_token"], 300)
        self.assertIn("lower corpus.tokens", self.message(*flags, "--set", "surrogate=calibrated", "--set", "corpus.tokens=201", model=gated, expect=3))
        done = run("decompose", gated, "--minus", gated, "--out", self.folder / "m", "--set", "surrogate=calibrated")
        self.assertIn("with --minus", self.check(done, 2).stderr)
        # A bilinear model needs nothing in the place of its layers.
        write_llama(self.model)
        self.assertIsNone(self.decompose(*flags, "--set", "surrogate=calibrated")["results"][0]["surrogate"])

    def test_bad_input(self):
        write_llama(self.model)
        self.assertIn("--data text:stories.txt.gz", self.message(*self.flags))
        self.assertFalse(self.out.exists())  # before anything is solved
        self.assertIn("no model that reads text", self.check(run("decompose", self.model, "--minus", self.model, "--out", self.folder / "m", *self.flags), 2).stderr)
        self.assertIn("corpus.loss_tokens", self.message(*self.flags, "--data", f"tokens:{self.text}", "--set", "corpus.loss_tokens=1"))
        self.assertIn("nowhere.bin", self.message(*self.flags, "--data", "tokens:nowhere.bin", expect=3))
        self.text.write_bytes(np.full(100, 60000, "<u2").tobytes())
        self.assertIn("60000", self.message(*self.flags, "--data", f"tokens:{self.text}", expect=3))
        named = {"gate": "model.layers.2.mlp.gate_proj.weight", "up": "model.layers.2.mlp.up_proj.weight"}
        done = run("decompose", self.model, "--out", self.folder / "n", *self.flags, "--data", f"tokens:{self.text}", "--set", "weights=" + json.dumps(named))
        self.assertIn("not known", self.check(done, 2).stderr)
        write_classifier(self.folder / "images")
        self.message(*self.flags, "--data", f"tokens:{self.text}", model=self.folder / "images", expect=3)


if __name__ == "__main__":
    unittest.main()
