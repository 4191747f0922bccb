"""Gated MLPs of models in memory, under the names that TransformerLens has, with their interaction matrices."""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from bilens import _bilens
from bilens._errors import ExhaustedError, InputError, UsageError, problem, worded
from bilens._models import Array, as_tensor, config_of, effective, in_words_of, is_pruning, stored, unwrapped

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "none": lambda z: z,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda z: torch.nn.functional.gelu(z, approximate="tanh"),
    "relu": torch.nn.functional.relu,
}

_GELU_BY_TANH = (
    *("gelutanh", "geluactivationtanh", "pytorchgelutanh", "newgeluactivation"),  # classes
    *("gelu_new", "gelu_pytorch_tanh"),  # TransformerLens's functions
)

# gate, up and down of a module's children, and of TransformerLens's parameters [in, out].
_LINEARS = (
    ("gate_proj", "up_proj", "down_proj"),
    ("w1", "w3", "w2"),
    ("gate", "up", "down"),
    ("fc_gate", "fc_up", "fc_down"),
)
_FUSED = ("gate_up_proj", "down_proj")  # of transformers, whose first half of rows is the gate
_KNOWN = ("gate_proj", "up_proj", "down_proj")  # to the library too, which also knows the norms around them
_PARAMETERS = ("W_gate", "W_in", "W_out")
# What bilens.decompose is told of norms, which bilens.mlps has no arguments for.
_UNFOLDED = (
    (r"Name its norm, weights=.* leave norms out, ", "Leave norms out, "),
    (r"Name the norm in weights, or leave it out", "Leave fold_norm out"),
)


class BilinearLayer:
    """One gated MLP y = (f(x W_gate + b_gate) ⊙ (x W_in + b_in)) W_out + b_out.

    Attributes:
        name: the module's name in its model.
        activation: f: "none" for a bilinear layer, "silu", "gelu", "gelu_tanh", "relu"; None where it is not known.
        W_gate, W_in: [d_model, d_mlp], views of the model's weights.
        W_out: [d_mlp, d_out], likewise.
        b_gate, b_in, b_out: [d_mlp], [d_mlp], [d_out]; None where there are none.
        norm: which norm's gain is in the matrices, as decomposition.json says it; None where none is.
    """

    def __init__(
        self,
        W_gate: Array,
        W_in: Array,
        W_out: Array,
        *,
        b_gate: Array | None = None,
        b_in: Array | None = None,
        b_out: Array | None = None,
        activation: str | None = "none",
        name: str = "layer",
        norm: Mapping[str, Any] | None = None,
    ) -> None:
        if activation is not None and activation not in _ACTIVATIONS:
            raise UsageError(*problem("activation", ", ".join(_ACTIVATIONS), repr(activation)))

        def optional(bias: Array | None, of: str) -> torch.Tensor | None:
            return None if bias is None else as_tensor(bias, f"{name}.{of}")

        self.name, self.activation, self.norm = name, activation, norm
        self.W_gate, self.W_in = as_tensor(W_gate, f"{name}.W_gate"), as_tensor(W_in, f"{name}.W_in")
        self.W_out = as_tensor(W_out, f"{name}.W_out")
        self.b_gate, self.b_in, self.b_out = (
            optional(b_gate, "b_gate"),
            optional(b_in, "b_in"),
            optional(b_out, "b_out"),
        )
        biases = (self.b_gate, self.b_in, self.b_out)
        self._native = _bilens.BilinearLayer(self.W_gate.T, self.W_in.T, self.W_out.T, *biases, name)

    def __reduce__(self) -> tuple[Any, ...]:
        make = functools.partial(
            BilinearLayer,
            b_gate=self.b_gate,
            b_in=self.b_in,
            b_out=self.b_out,
            activation=self.activation,
            name=self.name,
            norm=self.norm,
        )
        return make, (self.W_gate, self.W_in, self.W_out)

    @property
    def d_model(self) -> int:
        """Width of the inputs."""
        return self.W_gate.shape[0]

    @property
    def d_mlp(self) -> int:
        """Hidden units."""
        return self.W_gate.shape[1]

    @property
    def d_out(self) -> int:
        """Width of the outputs."""
        return self.W_out.shape[1]

    def __repr__(self) -> str:
        return f"<bilens.BilinearLayer {self.name}: {self.d_model} → {self.d_mlp} → {self.d_out}, {self.activation}>"

    def __call__(self, x: Array) -> torch.Tensor:
        """Outputs [..., d_out] for inputs [..., d_model], in the weights' dtype, as the model computes them. With a
        norm folded in, the inputs are what it normalises, before its gain."""
        if self.activation is None:
            raise UsageError(*problem(self.name, "a known activation", "none", "Set layer.activation."))
        given = as_tensor(x, "x").to(self.W_gate.dtype)
        gate, value = given @ self.W_gate, given @ self.W_in
        if self.b_gate is not None:
            gate = gate + self.b_gate
        if self.b_in is not None:
            value = value + self.b_in
        y = (_ACTIVATIONS[self.activation](gate) * value) @ self.W_out
        return y if self.b_out is None else y + self.b_out

    def _forms(self, directions: Array | None) -> _bilens.InteractionOperator:
        if self.activation != "none":
            found = "an unknown one" if self.activation is None else repr(self.activation)
            raise InputError(
                *problem(
                    self.name,
                    'a bilinear layer, activation "none"',
                    found,
                    "Only bilinear layers have interaction matrices; bilens.decompose takes surrogate='half'.",
                )
            )
        rows = None
        if directions is not None:
            rows = as_tensor(directions, "u").to(torch.float64)
            rows = rows[None] if rows.dim() == 1 else rows
            if rows.dim() != 2 or rows.shape[1] != self.d_out:
                raise UsageError(*problem("u", f"rows of {self.d_out} numbers", str(list(rows.shape))))
        return _bilens.InteractionOperator(self._native, rows)

    def _held(self, values: torch.Tensor) -> torch.Tensor:
        """Products of weights and vectors, which must be numbers."""
        if not values.isfinite().all():
            fix = "Divide the weights by a power of two."
            raise InputError(*problem(self.name, "products that float64 holds", "some above 1.8e308", fix))
        return values

    def Q(self, u: Array) -> torch.Tensor:
        """The symmetric matrix with u·y = xᵀQx, without biases.

        Args:
            u: one direction [d_out], or rows [n, d_out].

        Returns:
            float64 [d_model, d_model], or [n, d_model, d_model].

        Example:
            >>> layer = bilens.BilinearLayer(torch.eye(3), torch.eye(3), torch.eye(3))
            >>> layer.Q(torch.tensor([1.0, 0.0, 2.0])).diagonal()
            tensor([1., 0., 2.], dtype=torch.float64)
        """
        single = as_tensor(u, "u").dim() == 1
        forms = self._forms(u)
        count = 1 if single else as_tensor(u, "u").shape[0]
        require_memory(8 * count * self.d_model**2, "Q")
        matrices = self._held(forms.form(0, count, True))
        return matrices[0] if single else matrices

    def B(self) -> torch.Tensor:
        """The whole tensor, symmetric in its last two axes: y_m = Σ B[m, i, j] x_i x_j.

        Returns:
            float64 [d_out, d_model, d_model].

        Raises:
            bilens.ExhaustedError: where it would take more than half of the free memory.
        """
        require_memory(8 * self.d_out * self.d_model**2, "B")
        return self._held(self._forms(None).form(0, self.d_out, True))

    def operator(self, u: Array) -> "LinearOperator":
        """Q of one direction as an operator of SciPy, which never forms it: for `scipy.sparse.linalg.eigsh` and others.

        Args:
            u: a direction [d_out].

        Returns:
            scipy.sparse.linalg.LinearOperator, float64, [d_model, d_model].
        """
        from scipy.sparse.linalg import LinearOperator

        if as_tensor(u, "u").dim() != 1:
            raise UsageError(*problem("u", f"one direction [{self.d_out}]", str(list(as_tensor(u, "u").shape))))
        forms = self._forms(u)

        def times(x: Any) -> Any:
            rows = torch.as_tensor(x, dtype=torch.float64).reshape(self.d_model, -1).T
            return self._held(forms.apply(rows[None].contiguous())[0]).T.numpy().reshape(x.shape)

        shape = (self.d_model, self.d_model)
        return LinearOperator(shape, matvec=times, rmatvec=times, matmat=times, rmatmat=times, dtype="float64")


def require_memory(needed: int, what: str) -> None:
    """Refuse what takes more than half of the free memory. `needed` is in bytes."""
    free = _bilens.free_memory()
    if needed > free // 2:
        raise ExhaustedError(
            *problem(
                what,
                f"at most half of the free memory, {free / 2e9:.1f} GB",
                f"{needed / 1e9:.1f} GB",
                "Ask for fewer directions, or for layer.operator(u), which forms nothing.",
            )
        )


def mlps(model: torch.nn.Module, activation: str | None = None, *, fold_norm: bool = False) -> list[BilinearLayer]:
    """Find the gated MLPs of a module by their structure.

    Args:
        model: with modules whose children are `gate_proj, up_proj, down_proj`, `w1, w3, w2`, `gate, up, down`, or in
            transformers `gate_up_proj, down_proj`, or whose parameters are TransformerLens's `W_gate, W_in, W_out`.
        activation: what is on the gate's side, where the modules do not say it by `act_fn` or `activation`.
        fold_norm: whether the gain of the norm in front goes into W_gate and W_in (and its bias into b_gate and b_in,
            and the gain of a norm behind into W_out and b_out), as in `bilens.decompose`. Then the matrices are copies,
            in float64 where something was folded.

    Returns:
        The layers, in the order of the modules.

    Raises:
        bilens.InputError: where there is none; with `fold_norm` also where a norm is not known. bilens.UsageError: for
            what is no module.

    Example:
        >>> class Mlp(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.gate, self.up = torch.nn.Linear(4, 8), torch.nn.Linear(4, 8)
        ...         self.down = torch.nn.Linear(8, 4)
        >>> bilens.mlps(Mlp(), activation="none")
        [<bilens.BilinearLayer layer: 4 → 8 → 4, none>]
    """
    model = unwrapped(model)
    if not isinstance(model, torch.nn.Module):
        fix = "Load the model, or decompose it by its path."
        raise UsageError(*problem("model", "a torch module", type(model).__name__, fix))
    require_plain(model)
    found = list(_find(model, activation))
    if not found:
        names = ", ".join("/".join(names) for names in (*_LINEARS, _PARAMETERS))
        raise InputError(
            *problem(
                type(model).__name__,
                f"modules with gated MLPs ({names})",
                "none",
                "Build bilens.BilinearLayer(W_gate, W_in, W_out) of your own.",
            )
        )
    return _folded(model, found) if fold_norm else found


def _folded(model: torch.nn.Module, plain: list[BilinearLayer]) -> list[BilinearLayer]:
    """The same layers with their norms in them, as the library folds them."""
    config: dict[str, Any] = {}
    if not config_of(model):
        config = {"gate": "none", **by_structure(model, {})}  # the matrices are the same whatever f is
    with in_words_of(model), worded(*_UNFOLDED):
        layers, norm = _bilens.folded_layers(stored(model), json.dumps(config))
    if len(layers) != len(plain):
        expected = f"the {len(plain)} MLPs of the module"
        raise InputError(*problem(type(model).__name__, expected, f"{len(layers)} with names that are known"))
    return [
        BilinearLayer(
            layer.gate.T,
            layer.up.T,
            part.W_out.to(layer.gate.dtype) if layer.down is None else layer.down.T,
            b_gate=layer.gate_bias,
            b_in=layer.up_bias,
            b_out=layer.down_bias,
            activation=part.activation,
            name=part.name,
            norm=json.loads(norm),
        )
        for part, (_, layer) in zip(plain, layers)
    ]


def mlp_modules(model: torch.nn.Module) -> list[tuple[torch.nn.Module, BilinearLayer]]:
    """The modules that `mlps` finds, each with its layer."""
    modules = dict(model.named_modules())
    return [(modules.get(mlp.name, model), mlp) for mlp in mlps(model)]


def gain_in_front(model: torch.nn.Module, name: str, norm: Mapping[str, Any]) -> torch.Tensor | None:
    """The gain of the norm that was folded into an MLP of this name, as decomposition.json tells it; None: none was."""
    if not norm.get("gain"):
        return None
    block = model.get_submodule(name.rpartition(".")[0])
    lens = getattr(getattr(block, "ln2", None), "w", None)
    if norm["kind"] == "named" and lens is not None:
        gain: torch.Tensor = lens
    elif norm.get("before"):
        gain = block.get_parameter(norm["before"] + ".weight")
    else:
        raise UsageError(
            *problem(name, "the norm that was folded in beside it", "none", "Decompose with fold_norm=False.")
        )
    return gain.detach() + 1 if norm["gain"] == "1 + w" else gain.detach()


def activations(model: torch.nn.Module) -> Iterator[tuple[str, str | None]]:
    """The names of the modules that `mlps` finds, each with its activation, None where it is not known."""
    for name, module in model.named_modules():
        if _names(module) is not None:
            yield name or "layer", _activation_of(module)


def _find(model: torch.nn.Module, activation: str | None) -> Iterator[BilinearLayer]:
    for name, module in model.named_modules():
        names = _names(module)
        if names is None:
            continue
        if names == _PARAMETERS:
            matrices = [effective(module, part) for part in names]
            biases = [effective(module, b) if hasattr(module, b := "b_" + part[2:]) else None for part in names]
        else:
            linears = [linear for part in names if (linear := getattr(module, part)) is not None]
            matrices = [effective(linear, "weight").T for linear in linears]
            biases = [effective(linear, "bias") for linear in linears]
            if names == _FUSED:
                matrices = [*matrices[0].chunk(2, dim=1), matrices[1]]
                biases = [*((None, None) if biases[0] is None else biases[0].chunk(2)), biases[1]]
            elif len(linears) == 2:  # nothing behind the product
                matrices.append(torch.eye(matrices[0].shape[1], dtype=matrices[0].dtype))
                biases.append(None)
        yield BilinearLayer(
            *matrices,
            b_gate=biases[0],
            b_in=biases[1],
            b_out=biases[2],
            activation=activation or _activation_of(module),
            name=name or "layer",
        )


def _names(module: torch.nn.Module) -> tuple[str, ...] | None:
    """What gate, up and down are called in a module that is a gated MLP; None for others."""
    if all(_holds(module, name) for name in _PARAMETERS):
        return _PARAMETERS
    of_transformers = type(module).__module__.split(".")[0] == "transformers"
    if of_transformers and all(isinstance(getattr(module, part, None), torch.nn.Linear) for part in _FUSED):
        return _FUSED
    for names in _LINEARS:
        parts = [getattr(module, name, ...) for name in names]
        if parts[2] is None:
            parts.pop()  # said to be none
        if all(isinstance(part, torch.nn.Linear) for part in parts):
            return names
    return None


def _holds(module: torch.nn.Module, name: str) -> bool:
    """Whether a module has a tensor of its own of this name. TransformerLens's models stack those of all blocks in
    properties of the same names."""
    changed = name in getattr(module, "parametrizations", ())
    return changed or isinstance({**module.__dict__, **module._buffers, **module._parameters}.get(name), torch.Tensor)


def require_plain(model: torch.nn.Module) -> None:
    """The maps of gated MLPs must compute what their weights say, no more.

    Raises:
        bilens.InputError: for one with a forward of its own, with hooks, with adapters beside it, or with a bias behind
            the product.
    """
    for name, module in model.named_modules():
        if type(module).__module__.split(".")[0] == "peft":
            expected, found = "a model without adapters", f"PEFT's {type(module).__name__}"
            fix = "Give model.merge_and_unload(), whose weights have the adapters in them."
            raise InputError(*problem(name or "model", expected, found, fix))
        names = _names(module)
        if names is None:
            continue
        if names == _PARAMETERS:
            _require_no_bias_behind(name, module)
            continue
        for part in names:
            linear = getattr(module, part)
            if linear is None:
                continue
            changed = type(linear).forward is not torch.nn.Linear.forward
            hooks = [*linear._forward_hooks.values(), *linear._forward_pre_hooks.values()]
            if changed or not all(map(is_pruning, hooks)):
                found = f"{type(linear).__name__} with {'a forward of its own' if changed else 'hooks'}"
                fix = "Merge it into its weight first, or give the matrices."
                raise InputError(*problem(f"{name}.{part}".lstrip("."), "a plain torch.nn.Linear", found, fix))


def _require_no_bias_behind(name: str, module: torch.nn.Module) -> None:
    """TransformerLens adds b_in behind the product, (f(x W_gate) ⊙ x W_in + b_in) W_out + b_out."""
    bias = getattr(module, "b_in", None)
    if type(module).__module__.split(".")[0] != "transformer_lens" or bias is None or bias.is_meta:
        return
    if bool(bias.any()):
        fix = "Move it: mlp.b_out.data += mlp.b_in.data @ mlp.W_out.data, then mlp.b_in.data.zero_() computes the same."
        raise InputError(*problem(f"{name}.b_in", "0, for TransformerLens adds it behind the product", "others", fix))


def by_structure(model: torch.nn.Module, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for a module without a config: those that are given, and what its structure says beside them. That is
    `gate`, where all of its MLPs have one known activation, and `weights`, where the library does not know their names,
    with the norm in front where that is folded in.

    Raises:
        bilens.UsageError: where the activation that is given is not the modules'.
    """
    found = [(name, module, names) for name, module in model.named_modules() if (names := _names(module)) is not None]
    settings = dict(given)
    activations = {_activation_of(module) for _, module, _ in found}
    if len(activations) == 1 and None not in activations:
        says = activations.pop()
        if settings.setdefault("gate", says) != says:
            expected = f'"{says}", as its modules say'
            raise UsageError(*problem("activation", expected, repr(settings["gate"]), "Leave it out."))
    if "weights" in settings:
        return settings
    without = [name for name, module, names in found if getattr(module, names[-1]) is None]
    if without:
        settings["weights"] = {"down": "identity"}
    patterns = {(_pattern(name), _expressions(module, names)) for name, module, names in found}
    if any(names != _KNOWN for _, names in patterns):
        if len(patterns) > 1:
            several = ", ".join(sorted(f"{name}.{names[0]}" for name, names in patterns))
            fix = 'Name one kind, weights={"gate": "blocks.{layer}.w.weight", "up": ..., "down": ...}.'
            raise UsageError(*problem(type(model).__name__, "gated MLPs of one kind", several, fix))
        if without and len(without) < len(found):
            fix = "Give the matrices of one layer."
            raise UsageError(*problem(without[0], "a down matrix, as the other MLPs have", "none", fix))
        settings["weights"] = {
            **_weight_map(model, *patterns.pop(), settings.get("fold_norm", True)),
            **settings.get("weights", {}),
        }
    return settings


def _pattern(name: str) -> str:
    """A name with "{layer}" in the place of the last number that is a part of its own: "blocks.{layer}.mlp"."""
    return re.sub(r"(^|\.)\d+(?=(\.[^.]*[^.\d][^.]*)*$)", r"\1{layer}", name, count=1)


def _expressions(module: torch.nn.Module, names: tuple[str, ...]) -> tuple[str, ...]:
    """What gate, up and down are called in weights of decompose's config; the known names as they are."""
    if names in (_KNOWN, _PARAMETERS):
        return names
    if names == _FUSED:
        h = getattr(module, names[0]).out_features // 2
        return f"{names[0]}.weight[0:{h}]", f"{names[0]}.weight[{h}:{2 * h}]", f"{names[1]}.weight"
    return tuple(f"{name}.weight" for name in names)


def _weight_map(model: torch.nn.Module, pattern: str, names: tuple[str, ...], fold_norm: bool) -> dict[str, str]:
    prefix = pattern + "." if pattern else ""
    roles = ("gate", "up", "down")
    if names != _PARAMETERS:
        return {role: prefix + name for role, name in zip(roles, names)}
    weights = {role: f"{prefix}{name}.T" for role, name in zip(roles, names)}
    there = {_pattern(name) for name in model.state_dict()}
    biases = {f"{role}_bias": f"{prefix}b_{name[2:]}" for role, name in zip(roles, names)}
    weights |= {role: name for role, name in biases.items() if name in there}
    norm = prefix.removesuffix("mlp.") + "ln2.w"
    if fold_norm and norm in there:
        weights["norm"] = norm
    return weights


def _activation_of(module: torch.nn.Module) -> str | None:
    for key in ("act_fn", "activation_fn", "activation", "act"):
        function = getattr(module, key, None)
        if function is None:
            continue
        if isinstance(function, str):
            return function if function in _ACTIVATIONS else None
        name = getattr(function, "__name__", type(function).__name__).lower()
        by_tanh = getattr(function, "approximate", "none") == "tanh"
        if name in ("silu", "siluactivation", "swish"):
            return "silu"
        if name in _GELU_BY_TANH or (name == "gelu" and by_tanh):
            return "gelu_tanh"
        if name in ("gelu", "geluactivation"):
            return "gelu"
        if name in ("relu", "reluactivation"):
            return "relu"
        if name in ("identity", "linearactivation", "linear"):
            return "none"
    return None
