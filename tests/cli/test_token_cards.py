"""Eigenvectors read in tokens, held against numpy."""

import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import run
from decompositions import DecompositionTest
from language_models import embedding, interaction_matrix, unembedding, write_llama


class Cards(DecompositionTest):
    """The analysis "tokens" of a random model, in float64."""

    FLAGS = (
        "--set",
        "dtype=float64",
        "--set",
        'analyses=["tokens"]',
        "--set",
        "tokens.nearest=5",
        "--set",
        "tokens.interactions=12",
    )

    def setUp(self):
        super().setUp()
        self.w = write_llama(self.model)
        self.decompose(
            *self.FLAGS, "--set", "k=3", "--set", "energy=off", directions={"kind": "unembedding", "tokens": [7, 30]}
        )

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
                part = lambda kind: [
                    tensors[f"layer_{number}.{kind}.{basis}.{x}"] for x in ("ids", "cosines", "quantiles")
                ]
                self.check_card(*part("cards"), vectors, basis, null)
                # Controls: other vectors, but cards all the same. Their cosines are those of one vector each.
                for kind, shape in (("random_card", (2, 5)), ("permuted_cards", (2, 2, 5))):
                    ids, cosines, quantiles = part(kind)
                    self.assertEqual(ids.shape, shape)
                    self.assertFalse(np.isin(cosines.ravel(), part("cards")[1]).any())

    def test_the_null_has_the_embeddings_covariance(self):
        """Against numpy's directions. 1,000 cosines (500 directions, both sides) put the median's place to .022."""
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
                self.assertTrue((abs(whole[i, j] - found) <= bounds).all())
                left = np.sort(abs(np.linalg.eigvalsh(interaction_matrix(self.w, number, direction))))[-4]  # the fourth
                np.testing.assert_allclose(bounds, np.where(i == j, 1, 2) * lengths[i] * lengths[j] * left, rtol=1e-9)

    def reach(self):
        """The least and the largest bound on what layer 1's eigenpairs leave, over the lengths of the tokens' rows."""
        _, tensors = self.study()
        i, j = tensors["layer_1.interactions.tokens"][0].T
        lengths = np.linalg.norm(embedding(self.w), axis=1)
        reach = tensors["layer_1.interactions.bounds"][0] / (np.where(i == j, 1, 2) * lengths[i] * lengths[j])
        return reach.min(), reach.max()

    def test_the_bound_is_what_the_stored_eigenpairs_leave(self):
        q = interaction_matrix(self.w, 1, unembedding(self.w)[7])
        for dtype, k in (("float64", 14), ("float64", "all"), ("float32", 14), ("float32", "all")):
            with self.subTest(dtype=dtype, k=k):
                self.decompose(
                    *self.FLAGS,
                    "--set",
                    f"dtype={dtype}",
                    "--set",
                    "layers=[1]",
                    "--set",
                    f"k={k}",
                    directions={"kind": "tokens", "plus": [7]},
                )
                layer = self.layer(1)
                u, x = layer["directions"][0].astype(float), layer["eigenvectors"][0].astype(float)
                left = np.linalg.norm(interaction_matrix(self.w, 1, u) - (x.T * layer["eigenvalues"][0]) @ x, 2)
                least, largest = self.reach()
                self.assertGreaterEqual(least, left)
                self.assertLess(largest, left * (1 + 1e-9) + 1e-11 * np.linalg.norm(q))
                if k == "all":  # rounding of the eigenvectors, never 0
                    self.assertGreater(least, (1e-9 if dtype == "float32" else 1e-17) * np.linalg.norm(q))

    def test_the_bound_holds_where_little_is_left(self):
        """Ten eigenvalues of size 1, six of 1e-4: what energies in float32 would say is left is rounding."""
        rng = np.random.default_rng(100)
        rows = np.ascontiguousarray(
            np.linalg.qr(rng.standard_normal((16, 16)))[0].T, np.float32
        )  # save_file takes the bytes as they lie
        sizes = np.r_[np.ones(10), np.full(6, 1e-4)]
        model = self.folder / "planted"
        write_llama(model, h=16, layers=2)
        tensors = load_file(model / "model.safetensors")
        block = "model.layers.1."
        tensors[block + "post_attention_layernorm.weight"][:] = 1
        down = (rng.uniform(0.5, 1, (16, 16)) * rng.choice([-1, 1], (16, 16)) * sizes).astype(np.float32)
        tensors.update(
            {
                block + "mlp.gate_proj.weight": rows,
                block + "mlp.up_proj.weight": rows,
                block + "mlp.down_proj.weight": down,
            }
        )
        save_file(tensors, model / "model.safetensors")
        r = tensors["model.embed_tokens.weight"].astype(float)
        r -= r.mean(0)
        for k in (10, 16):
            self.decompose(
                *self.FLAGS,
                "--set",
                "dtype=float32",
                "--set",
                "layers=[1]",
                "--set",
                f"k={k}",
                directions={"kind": "axes"},
                model=model,
            )
            _, study = self.study()
            for u in range(16):
                q = (rows.astype(float).T * down[u].astype(float)) @ rows
                i, j = study["layer_1.interactions.tokens"][u].T
                true = np.where(i == j, 1, 2) * np.einsum("ni,ij,nj->n", r[i], q, r[j])
                self.assertTrue(
                    (
                        abs(true - study["layer_1.interactions.values"][u]) <= study["layer_1.interactions.bounds"][u]
                    ).all()
                )

    def test_one_hidden_unit_cannot_be_permuted(self):
        """The control is the layer itself there, with its trace or without: it is computed from what it says."""
        write_llama(self.folder / "narrow", h=1)
        directions = {"kind": "unembedding", "tokens": [7, 30]}
        for traceless in ("false", "true"):
            self.decompose(
                *self.FLAGS,
                "--set",
                "k=3",
                "--set",
                f"traceless={traceless}",
                directions=directions,
                model=self.folder / "narrow",
            )
            _, tensors = self.study()
            np.testing.assert_allclose(
                tensors["layer_2.permuted_eigenvalues"], self.layer(2)["eigenvalues"][:, 0], rtol=1e-10
            )
            np.testing.assert_array_equal(
                tensors["layer_2.permuted_cards.embedding.ids"], tensors["layer_2.cards.embedding.ids"][:, 0]
            )

    def test_each_layer_says_which_basis_is_its_own(self):
        tokens, _ = self.study()
        own = [(layer["embedding_is_own"], layer["unembedding_is_own"]) for layer in tokens["layers"]]
        self.assertEqual(own, [(True, False), (False, False), (False, True)])
        self.assertIn("not this layer's own", tokens["layers"][1]["words"])
        self.assertEqual(
            {k: tokens[k] for k in ("nearest", "interactions", "random_directions", "seed")},
            {"nearest": 5, "interactions": 12, "random_directions": 500, "seed": 0},
        )

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
        self.decompose(
            *self.FLAGS,
            "--set",
            "k=3",
            "--set",
            "tokens.seed=1",
            "--set",
            "tokens.interactions=0",
            directions=directions,
        )
        _, other = self.study()
        self.assertFalse(
            np.array_equal(other["tokens.embedding.null_cosines"], tensors["tokens.embedding.null_cosines"])
        )
        self.assertNotIn("layer_0.interactions.tokens", other)
        self.decompose(*self.FLAGS, "--set", "k=3", "--set", "method=hosvd")
        self.assertEqual(self.study()[0]["layers"], [])

    def test_contradictions(self):
        self.assertIn("fold_norm", self.message(*self.FLAGS, "--set", "fold_norm=false"))
        self.assertIn("tokens.nearest", self.message("--set", "tokens.nearest=0"))
        self.assertIn("analyses", self.message("--set", 'analyses=["token"]'))

    def test_the_report_reads_it(self):
        self.check(run("report", self.out, "--out", self.folder / "page.html"), 0)


if __name__ == "__main__":
    unittest.main()
