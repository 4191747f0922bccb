"""Every number that `bilens decompose` stores, of random layers of awkward kinds, against long double and mpmath.

BILENS_RANDOM_MINUTES says how long (default 1), BILENS_RANDOM_SEED where to begin; scripts/random_check.sh runs it for
hours. What fails names its seed, and stays in a folder of its own.
"""

# labels: slow
import itertools
import json
import os
import shutil
import time
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run
from form_checks import EPS, Checks
from language_models import write_llama
from random_forms import UNIT, WIDE, Form, draw

LAYERS = 30  # a file
SEED = int(os.environ.get("BILENS_RANDOM_SEED", "0"))
MINUTES = float(os.environ.get("BILENS_RANDOM_MINUTES", "1"))


def decompose(model, out, settings, flags=()):
    """The one place where these tests say how the program is called."""
    known = {} if model.is_dir() else {"gate": "none"}  # a model's config says it
    sets = [
        part
        for key, value in {"threads": 1, "device": "cpu", "analyses": [], **known, **settings}.items()
        for part in ("--set", f"{key}={json.dumps(value)}")
    ]
    return run("decompose", model, "--out", out, "--quiet", *sets, *flags, env={"OMP_NUM_THREADS": 1})


def tensors_of(layer, number):
    names = {
        "W": "gate_proj.weight",
        "V": "up_proj.weight",
        "P": "down_proj.weight",
        "b": "gate_proj.bias",
        "c": "up_proj.bias",
        "p": "down_proj.bias",
    }
    return {f"model.layers.{number}.mlp.{names[key]}": np.ascontiguousarray(value) for key, value in layer.items()}


class RandomFiles(TestCase):
    """Takes random files until its time is over."""

    def repeat(self, one):
        end, seed, count = time.monotonic() + 30 * MINUTES, SEED, 0
        while seed == SEED or time.monotonic() < end:
            count += one(seed)
            seed += 1
        print(f"{count} directions of {seed - SEED} files, seeds {SEED} to {seed - 1}", flush=True)


class RandomForms(RandomFiles):
    """Layers in a file without a config."""

    def one_file(self, seed):
        """Draws a file of layers and the settings of a run, decomposes, checks. Returns how many directions it was."""
        rng = np.random.default_rng(seed)
        stored, dtype = (rng.choice(["float32", "float64"]) for _ in range(2))
        m, biased = int(rng.integers(1, 4)), bool(rng.random() < 0.3)
        layers, kinds = zip(
            *(
                draw(rng, int(rng.integers(2, 13)), int(rng.integers(1, 25)), m, np.dtype(stored).type, biased)
                for _ in range(LAYERS)
            )
        )
        model, out = self.folder / f"{seed}.safetensors", self.folder / f"out{seed}"
        save_file(
            {name: tensor for number, layer in enumerate(layers) for name, tensor in tensors_of(layer, number).items()},
            model,
        )
        settings = {
            "dtype": str(dtype),
            "k": [1, 2, 2, 3, 5, "all"][rng.integers(6)],
            "certify": bool(rng.random() < 0.6),
            "energy": "exact",
        }
        # Without a name, whatever is cheapest: the low-rank solver among them.
        solver = [None, "dense", "lanczos", "formed"][rng.integers(4)]
        settings.update(
            {} if solver is None else {"solver": solver}, **({"traceless": True} if rng.random() < 0.3 else {})
        )
        given = None
        if rng.random() < 0.6:
            given = rng.standard_normal((2, m))
            save_file({"u": given}, self.folder / f"u{seed}.safetensors")
            settings["directions"] = {"kind": "file", "path": str(self.folder / f"u{seed}.safetensors"), "tensor": "u"}
        self.check(decompose(model, out, settings), 0)
        description = json.loads((out / "decomposition.json").read_text())["layers"]
        count = 0
        for entry, layer, kind in zip(description, layers, kinds):
            found = load_file(out / entry["file"])
            self.check_summary(entry, found, layer, settings["k"])
            u = found["directions"].astype(np.float64) if given is not None else np.eye(m)
            if given is not None:
                np.testing.assert_array_equal(found["directions"], given.astype(dtype))
            for i, direction in enumerate(u):
                with self.subTest(
                    seed=seed,
                    layer=entry["layer"],
                    kind=kind,
                    direction=i,
                    stored=str(stored),
                    ran=entry["solver"],
                    **settings,
                ):
                    form = Form(layer, direction, settings.get("traceless", False))
                    Checks(form, found, i, settings["dtype"], entry["solver"]).everything()
                count += 1
        shutil.rmtree(out)
        return count

    def check_summary(self, entry, found, layer, k):
        d = layer["W"].shape[1]
        self.assertEqual((entry["d_in"], entry["k"]), (d, d if k == "all" else min(k, d)))
        self.assertEqual(entry["worst_residual"], found["residuals"].max())
        self.assertEqual(entry["converged"], found["converged"].sum())
        self.assertEqual(entry["certified"], np.isfinite(found.get("certified_bound", np.array(np.nan))).sum())
        self.assertEqual(entry["has_linear"], "b" in layer)

    def test_every_stored_number(self):
        self.repeat(self.one_file)


class RandomModels(RandomFiles):
    """The layers of language models, along tokens: shares, interactions and the control beside the eigenpairs."""

    def one_model(self, seed):
        rng = np.random.default_rng(seed)
        d, h, number = 4 * int(rng.integers(1, 4)), int(rng.integers(1, 5)), 8
        model, out = self.folder / f"model{seed}", self.folder / f"out{seed}"
        write_llama(model, vocabulary=9, d=d, h=h, layers=number, seed=seed)
        tensors = load_file(model / "model.safetensors")
        layers, kinds = zip(*(draw(rng, d, h, d, np.float32) for _ in range(number)))
        for i, layer in enumerate(layers):
            gain = rng.uniform(0.5, 2, d).astype(np.float32)  # its products with float32 weights are exact in float64
            tensors |= tensors_of(layer, i) | {f"model.layers.{i}.post_attention_layernorm.weight": gain}
            layer["W"], layer["V"] = layer["W"] * gain.astype(float), layer["V"] * gain.astype(float)
        save_file(tensors, model / "model.safetensors")
        ids = [int(i) for i in rng.choice(9, rng.integers(1, 4), replace=False)]
        settings = {
            "dtype": str(rng.choice(["float32", "float64"])),
            "k": [1, 2, 3, "all"][rng.integers(4)],
            "energy": "exact",
            "traceless": bool(rng.random() < 0.5),
            "analyses": ["tokens"],
            "directions": {"kind": "unembedding", "tokens": ids},
            "tokens.interactions": 45,
            "tokens.random_directions": 1,
            "tokens.nearest": 1,
            "certify": bool(rng.random() < 0.5),
        }
        self.check(decompose(model, out, settings), 0)
        rows = tensors["lm_head.weight"].astype(WIDE) * tensors["model.norm.weight"].astype(WIDE)
        embedding = tensors["model.embed_tokens.weight"].astype(WIDE)
        study = load_file(out / "study.safetensors")
        for entry, layer, kind in zip(json.loads((out / "decomposition.json").read_text())["layers"], layers, kinds):
            found = load_file(out / entry["file"])
            own = {name.removeprefix(f"layer_{entry['layer']}."): tensor for name, tensor in study.items()}
            with self.subTest(seed=seed, layer=entry["layer"], kind=kind, ran=entry["solver"], **settings):
                centred = (rows[ids] - rows.mean(0)).astype(np.float64)
                np.testing.assert_allclose(
                    found["directions"], centred, rtol=0, atol=EPS[settings["dtype"]] * abs(rows).max()
                )
                forms = [Form(layer, u, settings["traceless"]) for u in found["directions"].astype(np.float64)]
                for i, form in enumerate(forms):
                    Checks(form, found, i, settings["dtype"], entry["solver"]).everything()
                    self.check_interactions(form, found, own, i, embedding - embedding.mean(0))
                self.check_share(entry, [Form(layer, u, settings["traceless"]) for u in rows[ids]])
                self.check_control(own["permuted_eigenvalues"], layer, forms)
        shutil.rmtree(out)
        return number * len(ids)

    def check_interactions(self, form, found, study, i, rows):
        pairs, values, bounds = (study[f"interactions.{name}"][i] for name in ("tokens", "values", "bounds"))
        first, second = rows[pairs[:, 0]], rows[pairs[:, 1]]
        times = np.where(pairs[:, 0] == pairs[:, 1], 1, 2)
        true = times * np.einsum("ni,ij,nj->n", first, form.q, second)
        lengths = times * np.sqrt((first**2).sum(1) * (second**2).sum(1))
        self.assertTrue((abs(true - values) <= bounds).all(), f"values {values}, true {true}, bounds {bounds}")
        x = found["eigenvectors"][i].astype(WIDE)
        left = form.reduced(form.q - (x.T * found["eigenvalues"][i]) @ x).astype(np.float64)
        reach = np.linalg.norm(left, 2) * (1 + 1e-9) + 1e4 * form.noise + 1e3 * UNIT * form.norm
        self.assertTrue(
            (form.reduced(bounds) <= lengths * reach + 1e-12 * form.norm + form.reduced(1e-290)).all(),
            "the bound is idle",
        )

    def check_share(self, entry, forms):
        matrices = np.array([form.q for form in forms])
        total = (matrices**2).sum()
        if total == 0:
            return self.assertEqual(entry["mean_energy_share"], 0)
        noise = 1e3 * UNIT * max(form.size for form in forms) ** 2 / total
        self.assertLessEqual(entry["mean_energy_share"], 1)
        if noise < 1e-3:
            true = len(forms) * (matrices.mean(0) ** 2).sum() / total
            self.assertLessEqual(abs(entry["mean_energy_share"] - true), 1e-12 + noise)

    def check_control(self, eigenvalues, layer, forms):
        """Of one and the same pairing of gate and up units, for every direction."""
        for order in itertools.permutations(range(len(layer["V"]))):
            others = [Form({**layer, "V": layer["V"][list(order)]}, form.u, form.traceless) for form in forms]
            if all(
                abs(abs(float(other.reduced(value))) - other.norm)
                <= 1e-4 * other.norm + 1e3 * other.noise + float(other.reduced(2.0**-1074))
                for other, value in zip(others, eigenvalues)
            ):
                return
        self.fail(f"the control {eigenvalues} is that of no pairing")

    def test_every_stored_number(self):
        self.repeat(self.one_model)


if __name__ == "__main__":
    unittest.main()
