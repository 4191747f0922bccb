"""The methods of `bilens.decompose` beside eigenvectors, each as a function whose arguments are its own settings."""

from collections.abc import Sequence
from typing import Any

from bilens._decompose import decompose
from bilens._decomposition import Decomposition
from bilens._errors import UsageError, problem, worded
from bilens._models import Array, Model


def _by(method: str, layer: tuple[Any, Any, Any], own: dict[str, Any], settings: dict[str, Any]) -> Decomposition:
    """Decompose by a method. What is None in its own settings has the library's default."""
    for name in {"method", method} & settings.keys():
        raise UsageError(*problem(name, f"the settings of {method} as arguments", repr(settings[name])))
    given = {name: value for name, value in own.items() if value is not None}
    keywords: dict[str, Any] = {method: given}
    model, up, down = layer
    with worded((rf'\b{method}\["(\w+)"\]', r"\1")):
        return decompose(model, up, down, method=method, **keywords, **settings)


def hosvd(
    model: Model | Array,
    up: Array | None = None,
    down: Array | None = None,
    *,
    energy: float | None = None,
    **settings: Any,
) -> Decomposition:
    """Find singular vectors of a layer's whole tensor B[m, i, j]: of its outputs and of its inputs.

    Args:
        model, up, down: the layer, as `bilens.decompose` takes it.
        energy: keeps the fewest vectors of a mode that reach this share of ‖B‖², at most k; without it k.
        settings: every other setting of `bilens.decompose`, such as `k` and `directions`.

    Returns:
        A decomposition whose tensors are `hosvd_output_vectors` [k, n], `hosvd_input_vectors` [k, d_in], and of both
        `_singular_values` and `_energy` [k].

    Raises:
        bilens.Error: as `bilens.decompose`.

    Example:
        >>> gate, up, down = torch.randn(20, 8), torch.randn(20, 8), torch.randn(5, 20)
        >>> bilens.hosvd(gate, up, down, k=3).tensors["hosvd_input_vectors"].shape
        torch.Size([3, 8])
    """
    return _by("hosvd", (model, up, down), {"energy": energy}, settings)


def sparse_eigen(
    model: Model | Array,
    up: Array | None = None,
    down: Array | None = None,
    *,
    sparsity: Sequence[int] | None = None,
    starts: int | None = None,
    max_iterations: int | None = None,
    **settings: Any,
) -> Decomposition:
    """Find vectors of few entries that have much of each direction's form.

    Args:
        model, up, down: the layer, as `bilens.decompose` takes it.
        sparsity: the most nonzero entries of a vector; several: a path. Without it [10].
        starts: how many starts each sign has from eigenvectors, and as many from rows of Q; without it 8.
        max_iterations: the most iterations of one start; without it 200.
        settings: every other setting of `bilens.decompose`, such as `k` and `directions`.

    Returns:
        A decomposition whose tensors are `sparse_vectors` [p, n, k, d_in] and `sparse_values` [p, n, k] for the p steps
        of the path, and others (docs/formats.md).

    Raises:
        bilens.Error: as `bilens.decompose`.

    Example:
        >>> gate, up, down = torch.randn(20, 8), torch.randn(20, 8), torch.randn(5, 20)
        >>> vectors = bilens.sparse_eigen(gate, up, down, k=2, sparsity=[2, 4]).tensors["sparse_vectors"]
        >>> vectors.shape, int((vectors[0] != 0).sum(-1).max())
        (torch.Size([2, 5, 2, 8]), 2)
    """
    own = {"sparsity": sparsity, "starts": starts, "max_iterations": max_iterations}
    return _by("sparse_eigen", (model, up, down), own, settings)


def rotate(
    model: Model | Array,
    up: Array | None = None,
    down: Array | None = None,
    *,
    starts: int | None = None,
    max_iterations: int | None = None,
    tolerance: float | None = None,
    seed: int | None = None,
    **settings: Any,
) -> Decomposition:
    """Find a sparse basis of each direction's space of k eigenvectors.

    Args:
        model, up, down: the layer, as `bilens.decompose` takes it.
        starts: the eigenvectors themselves, and random rotations of them; without it 8.
        max_iterations: the most iterations of one start; without it 1000.
        tolerance: a start ends when an iteration changes the rotation by less; without it 1e-7.
        seed: the seed of the random rotations; without it 0.
        settings: every other setting of `bilens.decompose`, such as `k` and `directions`.

    Returns:
        A decomposition with eigenpairs, and with `rotated_vectors` [n, k, d_in], `rotated_values` [n, k] and others
        (docs/formats.md).

    Raises:
        bilens.Error: as `bilens.decompose`.

    Example:
        >>> gate, up, down = torch.randn(20, 8), torch.randn(20, 8), torch.randn(5, 20)
        >>> bilens.rotate(gate, up, down, k=3).tensors["rotated_vectors"].shape
        torch.Size([5, 3, 8])
    """
    own = {"starts": starts, "max_iterations": max_iterations, "tolerance": tolerance, "seed": seed}
    return _by("rotate", (model, up, down), own, settings)


def joint(
    model: Model | Array,
    up: Array | None = None,
    down: Array | None = None,
    *,
    starts: int | None = None,
    max_iterations: int | None = None,
    tolerance: float | None = None,
    seed: int | None = None,
    **settings: Any,
) -> Decomposition:
    """Find one orthogonal basis in which the forms of all directions are as diagonal as can be.

    Args:
        model, up, down: the layer, as `bilens.decompose` takes it.
        starts: each from the eigenvectors of a random mixture of the outputs; without it 4.
        max_iterations: the most iterations of one start; without it 2000.
        tolerance: a start ends when the gradient along the constraint is below this share of the whole gradient;
            without it 1e-7.
        seed: the seed of the mixtures; without it 0.
        settings: every other setting of `bilens.decompose`, such as `k` and `directions`.

    Returns:
        A decomposition whose tensors are `joint_vectors` [k, d_in], `joint_values` [n, k] and others (docs/formats.md).

    Raises:
        bilens.Error: as `bilens.decompose`.

    Example:
        >>> gate, up, down = torch.randn(20, 8), torch.randn(20, 8), torch.randn(5, 20)
        >>> bilens.joint(gate, up, down, k=3).tensors["joint_vectors"].shape
        torch.Size([3, 8])
    """
    own = {"starts": starts, "max_iterations": max_iterations, "tolerance": tolerance, "seed": seed}
    return _by("joint", (model, up, down), own, settings)


def cp(
    model: Model | Array,
    up: Array | None = None,
    down: Array | None = None,
    *,
    rank: int | None = None,
    starts: int | None = None,
    max_iterations: int | None = None,
    tolerance: float | None = None,
    l1: float | None = None,
    nonnegative: bool | None = None,
    seed: int | None = None,
    **settings: Any,
) -> Decomposition:
    """Find a sum of few terms for all directions together: u·y ≈ Σ c (a·x)(b·x) with weights c of each output.

    Args:
        model, up, down: the layer, as `bilens.decompose` takes it.
        rank: number of terms; without it 16.
        starts: Jennrich's and random ones in turn; without it 6.
        max_iterations: the most iterations of a start, and of the last fit over the whole layer; without it 500.
        tolerance: a fit ends when the gradient is below this share of the largest that it could be; without it 1e-8.
        l1: makes output weights sparse: 0 none of them, 1 all; without it 0.
        nonnegative: output weights at least 0, each term with the better sign.
        seed: the seed of the random starts; without it 0.
        settings: every other setting of `bilens.decompose`, such as `directions`.

    Returns:
        A decomposition whose tensors are `cp_left` and `cp_right` [rank, d_in], `cp_outputs` [n, rank] and others
        (docs/formats.md). `info` says whether the fit converged.

    Raises:
        bilens.Error: as `bilens.decompose`.

    Example:
        >>> gate, up, down = torch.randn(20, 8), torch.randn(20, 8), torch.randn(5, 20)
        >>> bilens.cp(gate, up, down, rank=3).tensors["cp_outputs"].shape
        torch.Size([5, 3])
    """
    own = {
        "rank": rank,
        "starts": starts,
        "max_iterations": max_iterations,
        "tolerance": tolerance,
        "l1": l1,
        "nonnegative": nonnegative,
        "seed": seed,
    }
    return _by("cp", (model, up, down), own, settings)
