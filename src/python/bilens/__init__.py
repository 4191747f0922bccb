"""bilens: bilinear MLPs from training to understanding.

A bilinear layer y = P((Wx) ⊙ (Vx)) is a third-order tensor: for each output direction u there is a symmetric matrix Q
with u·y = xᵀQx, whose eigenvectors are exactly equivalent to the layer.

    >>> import bilens, torch
    >>> gate, up, down = torch.randn(64, 16), torch.randn(64, 16), torch.randn(16, 64)
    >>> d = bilens.decompose(gate, up, down, k=4)
    >>> d.eigenvalues.shape
    torch.Size([16, 4])

Start with `help(bilens.decompose)`.
"""

from bilens import _build

_build.check()

from bilens import nn, plots  # noqa: E402
from bilens._commands import (  # noqa: E402 (the check stands before all that needs the library)
    attack,
    check,
    convert_checkpoint,
    evaluate,
    explain_image,
    finetune,
    generate,
    inspect,
    intervene,
    report,
    run,
    schema,
    train,
    train_tokenizer,
)
from bilens._compare import compare  # noqa: E402
from bilens._conversion import convert  # noqa: E402
from bilens._decompose import decompose  # noqa: E402
from bilens._decomposition import Decomposition, Layer, load  # noqa: E402
from bilens._errors import (  # noqa: E402
    DivergedError,
    Error,
    ExhaustedError,
    InputError,
    Problem,
    UsageError,
)
from bilens._explanation import Explanation, explain  # noqa: E402
from bilens._host import set_progress  # noqa: E402
from bilens._interventions import ablate, patch, scale  # noqa: E402
from bilens._layers import BilinearLayer, mlps  # noqa: E402
from bilens._methods import cp, hosvd, joint, rotate, sparse_eigen  # noqa: E402
from bilens._token_cards import LayerCards, TokenCards  # noqa: E402
from bilens._transformers import load_transformers  # noqa: E402

__version__ = _build.VERSION

__all__ = [
    "BilinearLayer",
    "Decomposition",
    "DivergedError",
    "Error",
    "ExhaustedError",
    "Explanation",
    "InputError",
    "Layer",
    "LayerCards",
    "Problem",
    "TokenCards",
    "UsageError",
    "ablate",
    "attack",
    "check",
    "compare",
    "convert",
    "convert_checkpoint",
    "cp",
    "decompose",
    "evaluate",
    "explain",
    "explain_image",
    "finetune",
    "generate",
    "hosvd",
    "inspect",
    "intervene",
    "joint",
    "load",
    "load_transformers",
    "mlps",
    "nn",
    "patch",
    "plots",
    "report",
    "rotate",
    "run",
    "scale",
    "schema",
    "set_progress",
    "sparse_eigen",
    "train",
    "train_tokenizer",
]
