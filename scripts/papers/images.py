"""What the rows on image classifiers share."""

import numpy
from safetensors.numpy import load_file

from papers import runs


def config(seed, changes=(), base="images"):
    """The config of a run, from configs/papers."""
    return runs.with_changes(runs.base_config(base), {**dict(changes), "train.seed": seed})


def layer_file(folder):
    return load_file(folder / "layer_0.safetensors")


def whole_spectrum(run):
    """Eigenvalues [10, k] of all classes over the pixels, and eigenvectors [10, k, 784]."""
    layer = layer_file(runs.decomposed(run, {"k": "all", "dtype": "float64", "energy": "off"}, "whole"))
    return layer["eigenvalues"], layer["eigenvectors"]


def effective_rank(eigenvalues):
    """(Σ|λ|)²/Σλ², a mean over classes (docs/methods.md)."""
    size = numpy.abs(eigenvalues)
    return float((size.sum(-1) ** 2 / (size**2).sum(-1)).mean())


def accuracy_and_rank(plan):
    """The numbers of a trained classifier that most rows have."""
    run, result = runs.trained(plan)
    values, _ = whole_spectrum(run)
    return {"accuracy": result["accuracy"], "effective_rank": effective_rank(values)}


def logits(layer, images):
    """Contributions λ(v·x)² of each class and eigenvector, summed up: [N, 10, k]."""
    projections = numpy.einsum("nd,ckd->nck", images, layer["eigenvectors"].astype(numpy.float64), optimize=True)
    return numpy.cumsum(layer["eigenvalues"] * projections**2, axis=2)
