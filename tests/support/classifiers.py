"""Image classifiers written and evaluated by numpy alone, as docs/formats.md says: the other side of the proofs."""

import gzip
import json

import numpy as np
from safetensors.numpy import save_file


def read_idx(path, header):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def digits(count):
    """Some of the committed test digits, [count, 784] in 0..1."""
    return test_pixels()[:: 1000 // count][:count] / 255.0


def test_pixels():
    """uint8 [1000, 784]"""
    return read_idx("data/mnist-5k/t10k-images-idx3-ubyte.gz", 16).reshape(-1, 784)


def test_labels():
    return read_idx("data/mnist-5k/t10k-labels-idx1-ubyte.gz", 8)


def write_model(folder, n_layers=1, bias=False, residual=False, down_proj=False, d_model=48, d_hidden=48, seed=0):
    """A random classifier, written by Python as docs/formats.md says."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
    tensors = {"embed.weight": draw(d_model, 784) * 4, "head.weight": draw(10, d_model)}
    for layer in range(n_layers):
        mlp = f"layers.{layer}.mlp."
        tensors[mlp + "gate_proj.weight"] = draw(d_hidden, d_model)
        tensors[mlp + "up_proj.weight"] = draw(d_hidden, d_model)
        if down_proj:
            tensors[mlp + "down_proj.weight"] = draw(d_model, d_hidden)
        if bias:
            for name, size in (("gate_proj", d_hidden), ("up_proj", d_hidden)) + (
                (("down_proj", d_model),) if down_proj else ()
            ):
                tensors[f"{mlp}{name}.bias"] = draw(1, size)[0]
    config = dict(
        model_type="bilinear_mlp",
        d_input=784,
        d_model=d_model,
        d_hidden=d_hidden,
        d_output=10,
        n_layers=n_layers,
        bias=bias,
        residual=residual,
        down_proj=down_proj,
        gate="none",
        image_shape=[28, 28],
    )
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return config, {name: tensor.astype(np.float64) for name, tensor in tensors.items()}


def hidden_states(config, w, x):
    """h_0 ... h_n in float64, by the formula."""
    states = [x @ w["embed.weight"].T]
    for layer in range(config["n_layers"]):
        mlp, h = f"layers.{layer}.mlp.", states[-1]
        gate = h @ w[mlp + "gate_proj.weight"].T + w.get(mlp + "gate_proj.bias", 0)
        up = h @ w[mlp + "up_proj.weight"].T + w.get(mlp + "up_proj.bias", 0)
        y = gate * up
        if config["down_proj"]:
            y = y @ w[mlp + "down_proj.weight"].T + w.get(mlp + "down_proj.bias", 0)
        states.append(y + h if config["residual"] else y)
    return states


def logits(config, w, x):
    return hidden_states(config, w, x)[-1] @ w["head.weight"].T
