"""Modules for models of your own: `bilens.nn.BilinearMLP`."""

import torch

from bilens import _bilens  # noqa: F401 (registers torch.ops.bilens)
from bilens._errors import UsageError, problem

_GATES = ("none", "silu", "gelu", "gelu_tanh", "relu")


def gated_product(gate: torch.Tensor, up: torch.Tensor, activation: str = "none", beta: float = 1.0) -> torch.Tensor:
    """f(gate) ⊙ up in one pass, and one pass back, which saves only its inputs.

    Args:
        gate, up: equal shapes, dtypes (float16 to float64; computed in float32 at least, rounded once) and devices.
        activation: f: "none", "silu", "gelu", "gelu_tanh" or "relu".
        beta: the β of SiLU, f(z) = zσ(βz).

    Returns:
        As gate. Gradients are those of both; inside `torch.compile` it is `torch.ops.bilens.gated_product`.

    Example:
        >>> bilens.nn.gated_product(torch.tensor([2.0]), torch.tensor([3.0]))
        tensor([6.])
    """
    y: torch.Tensor = torch.ops.bilens.gated_product(gate, up, activation, beta)
    return y


class BilinearMLP(torch.nn.Module):
    """The gated MLP y = P(f(Wx + b) ⊙ (Vx + c)) + p; with gate "none" it is bilinear, and its weights say what it does.

    Parameters, as the C++ module names them and as `torch.nn.Linear` initialises them: `gate_proj.weight`
    [d_hidden, d_model], `up_proj.weight` [d_hidden, d_model], `down_proj.weight` [d_model, d_hidden], and with `bias`
    their `.bias`.

    Args:
        d_model: width of inputs and outputs.
        d_hidden: hidden units.
        bias: whether the three maps have biases.
        down_proj: False leaves P out; then d_hidden is d_model.
        gate: f: "none", "silu", "gelu", "gelu_tanh" or "relu".

    Example:
        >>> mlp = bilens.nn.BilinearMLP(8, 16)
        >>> mlp(torch.randn(2, 8)).shape
        torch.Size([2, 8])
        >>> bilens.decompose(mlp, k=1).eigenvalues.shape
        torch.Size([8, 1])
    """

    def __init__(
        self, d_model: int = 256, d_hidden: int = 256, bias: bool = False, down_proj: bool = True, gate: str = "none"
    ) -> None:
        super().__init__()
        if gate not in _GATES:
            raise UsageError(*problem("gate", ", ".join(_GATES), repr(gate)))
        if not down_proj and d_hidden != d_model:
            raise UsageError(*problem("d_hidden", f"{d_model}, the width of the outputs without P", str(d_hidden)))
        self.activation = gate
        self.gate_proj = torch.nn.Linear(d_model, d_hidden, bias)
        self.up_proj = torch.nn.Linear(d_model, d_hidden, bias)
        self.down_proj = torch.nn.Linear(d_hidden, d_model, bias) if down_proj else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs [..., d_model] for inputs [..., d_model]."""
        y = gated_product(self.gate_proj(x), self.up_proj(x), self.activation)
        return y if self.down_proj is None else self.down_proj(y)
