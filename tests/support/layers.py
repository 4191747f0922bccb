"""Files of a few small gated layers, written by numpy alone, and what their interaction matrices are."""

import json

import numpy as np
from safetensors.numpy import load_file, save_file

from bilens_cli import TestCase, run

D, H = 8, 12


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def mlp(seed, prefix="model.layers.0.mlp.", names=("gate_proj", "up_proj", "down_proj")):
    """The matrices of one MLP, under these names."""
    return {f"{prefix}{name}.weight": draw(seed + i, *((D, H) if i == 2 else (H, D))) for i, name in enumerate(names)}


def spectrum(gate, up, down, gain=1, behind=1):
    """All eigenvalues of every output axis, by falling |value|: [D, D]."""
    w, v, p = (np.asarray(x, float) for x in (gate, up, down))
    q = np.einsum("mk,ki,kj->mij", (p.T * behind).T, w * gain, v * gain)
    values = np.linalg.eigvalsh((q + q.transpose(0, 2, 1)) / 2)
    return np.take_along_axis(values, np.argsort(-abs(values), 1), 1)


def of_mlp(tensors, prefix="model.layers.0.mlp.", **gains):
    return spectrum(*(tensors[f"{prefix}{name}_proj.weight"] for name in ("gate", "up", "down")), **gains)


class LayersTest(TestCase):
    """Decomposes small files exactly, each time into self.out."""

    def file(self, tensors, name="layers.safetensors"):
        save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, self.folder / name)
        return self.folder / name

    def model(self, name, tensors, **config):
        """A directory with a config.json."""
        (self.folder / name).mkdir()
        self.file(tensors, f"{name}/model.safetensors")
        (self.folder / name / "config.json").write_text(json.dumps(config))
        return self.folder / name

    def decompose(self, path, *settings, flags=(), expect=0):
        self.count = getattr(self, "count", 0) + 1
        self.out = self.folder / f"out{self.count}"
        sets = [part for setting in ("k=all", "dtype=float64", "analyses=[]", *settings) for part in ("--set", setting)]
        return self.check(run("decompose", path, "--out", self.out, *sets, *flags), expect)

    def refusal(self, path, *settings, flags=(), expect=3):
        done = self.decompose(path, *settings, flags=flags, expect=expect)
        self.assertFalse((self.out / "decomposition.json").exists())
        return done.stderr

    def layer(self, number=0):
        return load_file(self.out / f"layer_{number}.safetensors")

    def description(self):
        return json.loads((self.out / "decomposition.json").read_text())

    def assert_spectrum(self, expected, number=0):
        found = self.layer(number)["eigenvalues"]
        np.testing.assert_allclose(found, expected, atol=1e-12 * abs(expected).max())
