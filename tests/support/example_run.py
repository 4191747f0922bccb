"""A run of an image classifier with its decomposition and study, small and synthetic, written as docs/formats.md says."""

import hashlib
import json

import numpy as np
from safetensors.numpy import save_file

from pages import HOSTILE

SIDE, CLASSES, K, EXAMPLES = 6, 4, 7, 3


def write_json(path, value):
    path.write_text(json.dumps(value))


def symmetric_forms(random):
    """Eigenpairs of one random symmetric matrix for each class: [n, k] and [n, k, d], ordered as the format says."""
    values, vectors = [], []
    for _ in range(CLASSES):
        matrix = random.standard_normal((SIDE * SIDE, SIDE * SIDE))
        eigenvalues, columns = np.linalg.eigh(matrix + matrix.T)
        order = np.argsort(-abs(eigenvalues))[:K]
        rows = columns[:, order].T
        values.append(eigenvalues[order])
        vectors.append(rows * np.sign(rows[np.arange(K), abs(rows).argmax(1)])[:, None])
    return np.array(values), np.array(vectors)


def write_run(run):
    model = run / "model"
    model.mkdir(parents=True)
    write_json(
        run / "config.json",
        {
            "model": {"type": "bilinear_mlp", "d_model": 8, "d_hidden": 8, "n_layers": 1},
            "data": {"dataset": HOSTILE},
            "train": {"epochs": 2, "seed": 3, "input_noise": {"std": 0.3, "unit": "pixel"}},
        },
    )
    write_json(run / "env.json", {"version": "0.1.0", "device": "cpu, 1 threads"})
    lines = [
        {
            "step": i + 1,
            "epoch": (i + 1) / 30,
            "loss": 2.3 / (i + 1) ** 0.5,
            "accuracy": 1 - 0.9 / (i + 1) ** 0.5,
            "grad_norm": 1.0,
            "lr": 1e-3,
            "images_per_second": 1e4,
        }
        for i in range(60)
    ]
    lines.insert(30, {"step": 30, "epoch": 1, "split": "validation", "examples": 50, "loss": 0.5, "accuracy": 0.8})
    lines.append({"step": 60, "epoch": 2, "split": "test", "examples": 100, "loss": 0.4, "accuracy": 0.875})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 61, "lo')
    write_json(
        model / "config.json",
        {
            "model_type": "bilinear_mlp",
            "d_input": SIDE * SIDE,
            "d_model": 8,
            "d_hidden": 8,
            "d_output": CLASSES,
            "n_layers": 1,
            "gate": "none",
            "bias": False,
            "residual": False,
            "down_proj": False,
            "image_shape": [SIDE, SIDE],
            "pixel_mean": 0.0,
            "pixel_std": 1.0,
            "format_version": 1,
        },
    )
    save_file({"head.weight": np.zeros((CLASSES, 8), np.float32)}, str(model / "model.safetensors"))
    return model


def write_decomposition(directory, model, random):
    directory.mkdir(parents=True)
    values, vectors = symmetric_forms(random)
    per_pair = np.full((CLASSES, K), 1e-7)
    save_file(
        {
            "directions": random.standard_normal((CLASSES, 8)).astype(np.float32),
            "eigenvalues": values,
            "eigenvectors": vectors.astype(np.float32),
            "residuals": per_pair,
            "trace": values.sum(1),
            "frobenius": np.linalg.norm(values, axis=1),
            "weight_energy": np.cumsum(values**2, 1) / (values**2).sum(1, keepdims=True) * 0.9,
            "vector_error": per_pair,
            "converged": np.ones(CLASSES, np.uint8),
            "columns": np.full(CLASSES, SIDE * SIDE, np.int32),
            "cluster": np.tile(np.arange(K, dtype=np.int32), (CLASSES, 1)),
            "tie_at_k": np.zeros(CLASSES, np.uint8),
        },
        str(directory / "layer_0.safetensors"),
    )
    write_json(
        directory / "decomposition.json",
        {
            "format": "bilens-decomposition",
            "format_version": 1,
            "version": "0.1.0",
            "model": str(model),
            "model_sha256": hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest(),
            "model_type": "bilinear_mlp",
            "image_shape": [SIDE, SIDE],
            "config": {"k": K},
            "device": "cpu, 1 threads",
            "seconds": 0.1,
            "layers": [
                {
                    "layer": 0,
                    "file": "layer_0.safetensors",
                    "method": "eigen",
                    "dtype": "float32",
                    "input_space": "input",
                    "d_in": SIDE * SIDE,
                    "d_hidden": 8,
                    "d_out": 8,
                    "directions": "outputs",
                    "output_is": "logits",
                    "n_directions": CLASSES,
                    "center": "mean",
                    "mean_energy_share": 0.1,
                    "k": K,
                    "has_linear": False,
                    "worst_residual": 1e-7,
                    "converged": CLASSES,
                    "certified": 0,
                    "effective_rank": [5.0] * CLASSES,
                    "seconds": {"form": 0.1, "solve": 0.1, "energy": 0.0},
                }
            ],
        },
    )


def write_study(directory, random):
    images = random.integers(0, 256, (10, SIDE, SIDE), dtype=np.uint8)
    shape = (CLASSES, K, EXAMPLES)
    save_file(
        {
            "images": images,
            "labels": np.arange(10) % CLASSES,
            "layer_0.examples.positive": random.integers(0, 10, shape).astype(np.int32),
            "layer_0.examples.negative": random.integers(0, 10, shape).astype(np.int32),
            "layer_0.projections.positive": random.random(shape),
            "layer_0.projections.negative": -random.random(shape),
        },
        str(directory / "study.safetensors"),
    )
    per_pair = random.random((CLASSES, K)).tolist()
    write_json(
        directory / "study.json",
        {
            "format": "bilens-image-study",
            "format_version": 1,
            "data": {"dataset": "synthetic", "split": "test", "examples": 100},
            "evaluation": {"examples": 100, "loss": 0.4, "accuracy": 0.875},
            "truncation": [
                {
                    "layer": 0,
                    "k": [0, 1, 2, 5, 7],
                    "accuracy": [0.25, 0.5, 0.7, 0.87, 0.875],
                    "loss": [1.4, 0.9, 0.6, 0.41, 0.4],
                }
            ],
            "exactness": [{"layer": 0, "relative_error": 1e-7, "max_error": 1e-6}],
            "layers": [
                {
                    "layer": 0,
                    "mean_contribution": per_pair,
                    "std_contribution": per_pair,
                    "data_r2": per_pair,
                    "linear_share": [0.0] * CLASSES,
                }
            ],
        },
    )


def write_example(run):
    random = np.random.default_rng(7)
    model = write_run(run)
    write_decomposition(model / "decomposition", model, random)
    write_study(model / "decomposition", random)
