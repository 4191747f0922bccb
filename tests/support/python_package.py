"""The Python package for its tests, which are run where the build has it."""

import subprocess
import sys
import textwrap

import bilens
import torch

__all__ = ["bilens", "in_a_process", "layer", "reference", "same_bits"]


def in_a_process(script):
    """Runs a script in a Python of its own, which must end in time."""
    return subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=300)


def layer(d_in=12, d_hidden=20, d_out=5, dtype=torch.float32, seed=0, biases=False):
    """Matrices of one layer, as keyword arguments of bilens.decompose but for the first, `gate`."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return (torch.randn(*shape, generator=generator, dtype=torch.float64) / shape[-1] ** 0.5).to(dtype)

    matrices = {"up": draw(d_hidden, d_in), "down": draw(d_out, d_hidden)}
    if biases:
        matrices |= {"gate_bias": draw(d_hidden), "up_bias": draw(d_hidden), "down_bias": draw(d_out)}
    return draw(d_hidden, d_in), matrices


def reference(gate, up, down, directions=None):
    """The symmetric matrices [n, d_in, d_in] of numpy, in float64."""
    w, v, p = (matrix.detach().double().numpy() for matrix in (gate, up, down))
    scales = p if directions is None else directions.double().numpy() @ p
    half = [w.T @ (s[:, None] * v) for s in scales]
    return [(q + q.T) / 2 for q in half]


def same_bits(a, b):
    """Whether two tensors are equal, NaN where NaN is."""
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and a.contiguous().numpy().tobytes() == b.contiguous().numpy().tobytes()
    )
