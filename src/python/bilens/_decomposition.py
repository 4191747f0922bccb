"""What a decomposition is, and what can be asked of it."""

import functools
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from bilens import _bilens, _card, _commands, _token_cards, plots
from bilens._errors import UsageError, problem
from bilens._models import Array, Model, as_tensor, index


class _Whole:
    """What a decomposition and its layers share."""

    def __init__(self, native: _bilens.Decomposition) -> None:
        self.native = native

    @functools.cached_property
    def info(self) -> dict[str, Any]:
        info: dict[str, Any] = json.loads(self.native.info())
        return info


class Layer:
    """One layer's part of a decomposition: for each output direction u the form u·y = xᵀQx + l·x + c.

    Attributes:
        number: the layer's number in its model, from 0.
        tensors: every tensor of the layer's file, by its name there (docs/formats.md), on the CPU.
    """

    def __init__(self, native: _bilens.LayerDecomposition, whole: _Whole, place: int, mapped: bool) -> None:
        self._native, self._whole, self._place, self._mapped = native, whole, place, mapped
        self.number: int = native.layer

    @functools.cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        # Who writes into them must not write into mapped files.
        return {name: tensor.clone() if self._mapped else tensor for name, tensor in self._native.tensors()}

    @property
    def info(self) -> dict[str, Any]:
        """What decomposition.json says of the layer."""
        entry: dict[str, Any] = self._whole.info["layers"][self._place]
        return entry

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied as a decomposition that has this layer alone."""
        return _only_layer, (Decomposition(self._whole.native.part(self._place)),)

    def __repr__(self) -> str:
        return f"<bilens.Layer {self.number}: {_in_words(self)}>"

    def _tensor(self, name: str) -> torch.Tensor:
        if name not in self.tensors:
            found = ", ".join(sorted(self.tensors))
            fix = "Decompose with certify=True." if name == "certified_bound" else ""
            raise UsageError(*problem(f"layer {self.number}", f"a tensor {name}", f"only {found}", fix))
        return self.tensors[name]

    @property
    def eigenvalues(self) -> torch.Tensor:
        """[n, k] float64, by falling |λ|."""
        return self._tensor("eigenvalues")

    @property
    def eigenvectors(self) -> torch.Tensor:
        """[n, k, d_in], unit rows, of the run's dtype."""
        return self._tensor("eigenvectors")

    @property
    def residuals(self) -> torch.Tensor:
        """[n, k] float64, at least ‖Qv − λv‖ over the spectral norm."""
        return self._tensor("residuals")

    @property
    def certified_bound(self) -> torch.Tensor:
        """[n] float64: at most the k listed eigenvalues are as large as this; NaN where it was not proved. Only with
        `certify=True`."""
        return self._tensor("certified_bound")

    @property
    def directions(self) -> torch.Tensor | None:
        """[n, d_out], the output directions as they were decomposed; None for every axis of the output."""
        return self.tensors.get("directions")

    @property
    def direction_names(self) -> list[str]:
        """Names of directions that are tokens; else empty."""
        return list(self.info.get("direction_names") or [])

    def contributions(self, x: Array, direction: int | None = None) -> torch.Tensor:
        """What each eigenvector adds to the outputs: λ (v·x)².

        Args:
            x: inputs [..., d_in] in the decomposition's input space: behind the norm where one was folded in.
            direction: one of the n; without it, all.

        Returns:
            float64 [..., n, k], or [..., k] for one direction.

        Example:
            >>> d = bilens.decompose(torch.eye(4), torch.eye(4), torch.eye(4), k=2)
            >>> d.layers[0].contributions(torch.ones(3, 4), direction=0).shape
            torch.Size([3, 2])
        """
        rows, shape = self._inputs(x)
        return self._each(direction, lambda u: self._native.contributions(u, rows)).reshape(
            *shape, *(() if direction is not None else (self.count,)), self.eigenvalues.shape[1]
        )

    def truncate(self, k: int) -> "Truncated":
        """The forms with their first k eigenpairs alone, as a function of inputs.

        Example:
            >>> d = bilens.decompose(torch.eye(4), torch.eye(4), torch.eye(4), k=4)
            >>> d.layers[0].truncate(4)(torch.ones(4))
            tensor([1., 1., 1., 1.], dtype=torch.float64)
        """
        most = self.eigenvalues.shape[1]
        return Truncated(self, index(k, most + 1, "k"))

    @property
    def count(self) -> int:
        """n, how many directions there are."""
        count: int = self.info["n_directions"]
        return count

    plot_spectrum = plots.plot_spectrum
    plot_eigenvectors = plots.plot_eigenvectors
    plot_truncation = plots.plot_truncation
    plot_interactions = plots.plot_interactions

    def _inputs(self, x: Array) -> tuple[torch.Tensor, torch.Size]:
        rows = as_tensor(x, "x")
        width = self.info["d_in"]
        if rows.dim() == 0 or rows.shape[-1] != width:
            raise UsageError(*problem("x", f"inputs [..., {width}] of layer {self.number}", str(list(rows.shape))))
        return rows.to(torch.float64).reshape(-1, width), rows.shape[:-1]

    def _each(self, direction: int | None, of: Callable[[int], torch.Tensor]) -> torch.Tensor:
        if direction is not None:
            return of(index(direction, self.count, "direction"))
        return torch.stack([of(u) for u in range(self.count)], dim=1)


class Truncated:
    """The forms of a layer with their first k eigenpairs."""

    def __init__(self, layer: Layer, k: int) -> None:
        self.layer, self.k = layer, k

    def __call__(self, x: Array) -> torch.Tensor:
        """Values of u·y for inputs x [..., d_in]: float64 [..., n], with the linear parts of biases and residual."""
        rows, shape = self.layer._inputs(x)
        native, k = self.layer._native, self.k

        def values(u: int) -> torch.Tensor:
            return native.contributions(u, rows)[:, :k].sum(1) + native.linear_part(u, rows)

        total = self.layer._each(None, values)
        if "shift" in self.layer.tensors:  # what traceless took off: tr Q / d of each form
            total = total + rows.square().sum(1, keepdim=True) * self.layer.tensors["shift"]
        return total.reshape(*shape, self.layer.count)


class Decomposition:
    """What `bilens.decompose` found, and `bilens.load` reads.

    Of a single layer, the layer's attributes are here too: `d.eigenvalues` is `d.layers[0].eigenvalues`.

    Attributes:
        layers: each layer by its number.
    """

    def __init__(self, native: _bilens.Decomposition, folder: str | os.PathLike[str] | None = None) -> None:
        self._native, self._whole = native, _Whole(native)
        self._folder = None if folder is None else pathlib.Path(folder)

    @functools.cached_property
    def layers(self) -> dict[int, Layer]:
        mapped = self._folder is not None
        return {part.layer: Layer(part, self._whole, place, mapped) for place, part in enumerate(self._native.layers())}

    @property
    def info(self) -> dict[str, Any]:
        """decomposition.json as a dictionary: what was decomposed, by which settings, and how well it went."""
        return self._whole.info

    def __repr__(self) -> str:
        lines = [f"<bilens.Decomposition of {self.info['model']}"]
        lines += [f"  layer {number}: {_in_words(layer)}" for number, layer in self.layers.items()]
        return "\n".join(lines) + ">"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied as the files that `save` writes."""
        with tempfile.TemporaryDirectory(prefix="bilens-") as folder:
            self.save(pathlib.Path(folder) / "saved")
            return _unpickled, ({file.name: file.read_bytes() for file in (pathlib.Path(folder) / "saved").iterdir()},)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers.values())

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def _only(self) -> Layer:
        if len(self.layers) != 1:
            numbers = ", ".join(map(str, self.layers))
            raise UsageError(*problem("decomposition", "a single layer", f"layers {numbers}", "Name it: d.layers[N]."))
        return next(iter(self.layers.values()))

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor of the only layer's file, by name."""
        return self._only.tensors

    @property
    def eigenvalues(self) -> torch.Tensor:
        """Eigenvalues of the only layer, float64 [n, k], by falling |λ|."""
        return self._only.eigenvalues

    @property
    def eigenvectors(self) -> torch.Tensor:
        """Eigenvectors of the only layer, [n, k, d_in], unit rows."""
        return self._only.eigenvectors

    @property
    def residuals(self) -> torch.Tensor:
        """Residuals of the only layer, [n, k]: at least ‖Qv − λv‖ over the spectral norm."""
        return self._only.residuals

    @property
    def certified_bound(self) -> torch.Tensor:
        """Bounds of the only layer, [n], on all eigenvalues that are not listed; with `certify=True`."""
        return self._only.certified_bound

    def save(self, folder: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the files of `bilens decompose`, whole or not at all.

        Args:
            folder: empty or not there.
            overwrite: replace a decomposition that is there.

        Raises:
            bilens.UsageError: for a folder with other files.

        Example:
            >>> d = bilens.decompose(torch.eye(4), torch.eye(4), torch.eye(4), k=2)
            >>> d.save("identity", overwrite=True)  # doctest: +SKIP
        """
        self._native.save(pathlib.Path(folder), overwrite)

    def report(self, page: str | os.PathLike[str]) -> None:
        """Write one HTML page about the decomposition, as `bilens report`.

        Example:
            >>> d.report("page.html")  # doctest: +SKIP
        """
        with tempfile.TemporaryDirectory(prefix="bilens-") as folder:
            self.save(pathlib.Path(folder) / "decomposition")
            _commands.report(pathlib.Path(folder) / "decomposition", out=page)

    def cards(
        self, tokenizer: Any = None, *, model: Model | None = None, nearest: int | None = None
    ) -> _token_cards.TokenCards:
        """Find the tokens that are nearest to each eigenvector, on both sides, as the analysis "tokens" does.

        Args:
            tokenizer: one of transformers, or the path of a SentencePiece model or tokenizer.json. A model that is a
                path has its own without it. Without one, tokens are called by their ids.
            model: the language model that was decomposed, with the weights that it had then. Without it, the study of
                tokens in the decomposition's folder is read, or the model is opened where it was.
            nearest: tokens on each side; without it, as `tokens={"nearest": 8}` of `bilens.decompose` says.

        Returns:
            Tokens, cosines and what these are worth, which show themselves in a notebook.

        Raises:
            bilens.InputError: for another model, or another model's tokenizer. bilens.UsageError: where there is
                neither a study nor a model.

        Example:
            >>> d = bilens.decompose(model, layers=[4], surrogate="half")  # doctest: +SKIP
            >>> d.cards(tokenizer, model=model).nearest(layer=4, direction=0, eigenvector=0)  # doctest: +SKIP
        """
        values = {number: layer.tensors["eigenvalues"] for number, layer in self.layers.items() if "k" in layer.info}
        return _token_cards.find(self._native, self.info, values, self._folder, tokenizer, model, nearest)

    plot_spectrum = plots.plot_spectrum
    plot_eigenvectors = plots.plot_eigenvectors
    plot_truncation = plots.plot_truncation
    plot_interactions = plots.plot_interactions

    def _repr_html_(self) -> str:
        """What a notebook shows: the layers' figures and their eigenvalues, direction by direction."""
        return _card.card(self.info, {number: layer.tensors for number, layer in self.layers.items()})


def _only_layer(decomposition: Decomposition) -> Layer:
    return decomposition._only


def _unpickled(files: Mapping[str, bytes]) -> Decomposition:
    with tempfile.TemporaryDirectory(prefix="bilens-") as folder:
        for name, content in files.items():
            (pathlib.Path(folder) / name).write_bytes(content)
        return load(folder)


def _in_words(layer: Layer) -> str:
    info = layer.info
    words = f"{info['n_directions']} directions of {info['d_out']} outputs, {info['d_in']} inputs, {info['method']}"
    if "k" in info:
        words += f", {info['k']} eigenpairs, {info['converged']} converged"
    return words


def load(folder: str | os.PathLike[str]) -> Decomposition:
    """Open a decomposition that `bilens decompose`, `bilens.decompose(out=...)` or `Decomposition.save` wrote.

    Args:
        folder: with decomposition.json in it.

    Returns:
        The decomposition, with tensors of its own.

    Raises:
        bilens.InputError: for a folder that is missing, damaged or not finished.

    Example:
        >>> bilens.load("runs/demo/model/decomposition").eigenvalues  # doctest: +SKIP
    """
    return Decomposition(_bilens.load(pathlib.Path(folder)), folder)
