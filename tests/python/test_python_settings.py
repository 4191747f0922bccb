"""Every setting of bilens.decompose counts, or is refused with the way on: none is passed over."""

import pathlib
import tempfile
import unittest

import torch
import transformers

from classifiers import write_model
from python_package import bilens, layer, same_bits

bilens.set_progress(None)
GATE, MATRICES = layer(biases=True)
METHODS = ("eigen", "hosvd", "sparse_eigen", "rotate", "joint", "cp")
PAIRS = ("eigen", "rotate")
HOLDER = tempfile.TemporaryDirectory(prefix="bilens-settings-")
FOLDER = pathlib.Path(HOLDER.name)

# Of each key of the config: a value beside three matrices, and the methods with which it counts there.
ON_MATRICES = {
    "format_version": (1, METHODS),
    "layers": ([0], METHODS),
    "directions": ({"kind": "random", "count": 2, "seed": 0}, METHODS),
    "method": (None, METHODS),  # the method itself
    "hosvd": ({"energy": 0.5}, ("hosvd",)),
    "sparse_eigen": ({"sparsity": [2]}, ("sparse_eigen",)),
    "rotate": ({"starts": 1}, ("rotate",)),
    "joint": ({"starts": 1}, ("joint",)),
    "cp": ({"rank": 2}, ("cp",)),
    "solver": ("lanczos", PAIRS),
    "k": (2, tuple(method for method in METHODS if method != "cp")),
    "input_space": ("model", ()),
    "fold_norm": (True, ()),
    "traceless": (None, ()),  # refused of matrices, in words of its own
    "weighting": ("data", ()),
    "dtype": ("float64", METHODS),
    "tolerance": (1e-30, PAIRS),
    "center": ("none", ()),
    "probe": (True, PAIRS),
    "certify": (True, PAIRS),
    "energy": ("off", PAIRS),
    "effective_rank": ("estimate", PAIRS),
    "memory_limit": (1 << 20, ("eigen", "hosvd", "sparse_eigen", "rotate")),
    "weights": ({"norm": "n"}, ()),
    "gate": ("none", ()),
    "surrogate": ("half", ()),
    "tokenizer": ("words.model", ()),
    "data": ({"dataset": "text", "path": "x"}, ()),
    "analyses": (["tokens"], ()),
    "tokens": ({"nearest": 3}, ()),
    "corpus": ({"tokens": 100}, ()),
    "device": ("cpu", METHODS),
    "threads": (1, METHODS),
}
SAID = {"surrogate"}  # by a warning
# Where the value shows in the tensors, with the methods that it counts with.
SHOWS = {"directions", "hosvd", "sparse_eigen", "k", "dtype", "cp", "certify", "energy", "tolerance", "effective_rank"}


def llama(act="linear"):
    torch.manual_seed(0)
    sizes = dict(vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=2)
    heads = dict(num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads, hidden_act=act))


class Words:
    """A tokenizer of transformers, as far as it is asked."""

    def __len__(self):
        return 61

    def convert_ids_to_tokens(self, ids):
        return [f"w{number}" for number in ids]


LINEAR, GATED, OTHER = llama(), llama("silu"), llama()
IDS = torch.randint(3, 61, (40, 20), generator=torch.Generator().manual_seed(0))
IDS[:, 0] = 1
TOKENS = {"directions": {"plus": [3], "minus": [4]}}
CALIBRATED = {"surrogate": "calibrated", "corpus": {"tokens": 100}}

# What is decomposed, by which settings, and the setting that is refused there; None: all of them count.
ON_MODELS = (
    (LINEAR, dict(data=IDS), "data"),
    (LINEAR, dict(data="text:x"), "data"),
    (LINEAR, dict(data=IDS, analyses=["corpus"], corpus={"tokens": 100, "seed": 1}, out="corpus"), None),
    (LINEAR, dict(data=IDS, analyses=["tokens"], out="tokens"), "data"),
    (LINEAR, dict(analyses=["truncation"], out="images"), "analyses"),
    (LINEAR, dict(analyses=["tokens"], tokens={"interactions": 2}, out="interactions"), None),
    (LINEAR, dict(tokens={"nearest": 2, "seed": 3}), None),  # of d.cards
    (LINEAR, dict(tokens={"interactions": 2}), r'tokens\["interactions"\]'),
    (LINEAR, dict(method="hosvd", tokens={"nearest": 2}), r'tokens\["nearest"\]'),
    (LINEAR, dict(corpus={"tokens": 100}), r'corpus\["tokens"\]'),
    (LINEAR, dict(tokenizer=Words()), "tokenizer"),
    (LINEAR, dict(tokenizer=Words(), **TOKENS), None),
    (LINEAR, dict(tokenizer="words.model"), "tokenizer"),
    (LINEAR, dict(center="none"), "center"),
    (LINEAR, dict(center="none", **TOKENS), None),
    (LINEAR, dict(center="none", directions=torch.ones(1, 16)), "center"),
    (LINEAR, dict(fold_norm=True), None),
    (LINEAR, dict(fold_norm=False), None),
    (LINEAR, dict(input_space="model"), "input_space"),
    (LINEAR, dict(energy="exact", method="cp", directions={"kind": "unembedding", "tokens": [3, 4]}), None),
    (LINEAR, dict(energy="exact", method="cp", **TOKENS), "energy"),
    (LINEAR, dict(minus=OTHER, layers=[1]), None),
    (LINEAR, dict(weights={"norm_gain": "1+w"}), r'weights\["norm_gain"\]'),
    (GATED, dict(data=IDS, surrogate="half"), "data"),
    (GATED, dict(data=IDS, **CALIBRATED), None),
    (GATED, dict(data=IDS, surrogate="calibrated", corpus={"tokens": 100, "seed": 1}), r'corpus\["seed"\]'),
    (GATED, dict(data=IDS, tokenizer="words.model", **CALIBRATED), "tokenizer"),
    (LINEAR, dict(data=IDS, weighting="data", corpus={"tokens": 300}), None),
    (LINEAR, dict(data=IDS, weighting="data", corpus={"tokens": 300, "seed": 1}), r'corpus\["seed"\]'),
    (LINEAR, dict(data=IDS, weighting="data", corpus={"tokens": 300}, traceless=True), "traceless"),
    (LINEAR, dict(data=IDS, weighting="data", corpus={"tokens": 300}, method="cp"), "method"),
    (bilens.nn.BilinearMLP(12, 20), dict(fold_norm=True), "fold_norm"),
    (bilens.nn.BilinearMLP(12, 20), dict(fold_norm=False, certify=False, probe=False, hosvd={}), None),
    ("classifier", dict(center="none", input_space="model"), None),
    ("classifier", dict(directions="axes", center="mean"), "center"),
    ("classifier", dict(data="mnist-5k"), "data"),
    ("classifier", dict(data="mnist-5k", weighting="data"), None),
    ("classifier", dict(data="mnist-5k", weighting="data", minus="classifier"), "weighting"),
    ("classifier", dict(data="mnist-5k", weighting="data", analyses=["truncation"], out="weighted"), "analyses"),
    ("classifier", dict(analyses=["truncation"], out="no data"), "analyses"),
    ("classifier", dict(weights={"head": "head.weight"}), "weights"),
    ("classifier", dict(tokens={"nearest": 2}), r'tokens\["nearest"\]'),
)


class Settings(unittest.TestCase):
    def refuse(self, key, call):
        with self.assertRaises(bilens.UsageError) as caught:
            call()
        where = [problem.where for problem in caught.exception.problems]
        self.assertTrue(where and all(part for part in where), caught.exception)
        self.assertRegex(where[0], f"^{key}$")
        self.assertTrue(all(problem.expected and problem.found for problem in caught.exception.problems))

    def test_every_key_with_every_method(self):
        keys = set(bilens.schema("decompose")["properties"])
        self.assertEqual(set(ON_MATRICES), keys)
        plain = {m: bilens.decompose(GATE, **MATRICES, method=m, threads=1).tensors for m in METHODS}
        for key, (value, methods) in ON_MATRICES.items():
            for method in METHODS if value is not None else ():
                with self.subTest(f"{key}, {method}"):
                    call = lambda: bilens.decompose(GATE, **MATRICES, **{"method": method, key: value})  # noqa: E731
                    if key in SAID:
                        with self.assertLogs("bilens", "WARNING"):
                            call()
                    elif method in methods:
                        found = call().tensors
                        if key in SHOWS:
                            same = found.keys() == plain[method].keys() and all(
                                same_bits(found[name], plain[method][name]) for name in found
                            )
                            self.assertFalse(same)
                    else:
                        self.refuse(rf'{key}(\["\w+"\])?', call)

    def test_models(self):
        path = FOLDER / "classifier"
        write_model(path)
        for number, (model, settings, refused) in enumerate(ON_MODELS):
            with self.subTest(f"{number}: {settings}"):
                settings = dict(settings, k=2) if settings.get("method") != "cp" else dict(settings, cp={"rank": 2})
                if "out" in settings:
                    settings["out"] = FOLDER / str(number)
                if model == "classifier":
                    model = path
                call = lambda: bilens.decompose(model, **settings)  # noqa: B023, E731
                call() if refused is None else self.refuse(refused, call)

    def test_other_calls(self):
        self.refuse("callback", lambda: bilens.train({}, out="x", dry_run=True, callback=print))
        self.refuse("device", lambda: bilens.compare(*[(GATE, GATE, MATRICES["down"])] * 2, device="cpu"))
        self.refuse("config", lambda: bilens.explain(LINEAR, [1, 2], config=LINEAR.config))
        self.refuse("context", lambda: bilens.convert(GATED, IDS, context=8, data={"context": 9}))
        for name in ("top_k", "top_p", "seed"):
            self.refuse(name, lambda: bilens.generate("model", "Once", temperature=0, **{name: 1}))  # noqa: B023
        self.refuse("k", lambda: bilens.cp(GATE, **MATRICES, k=2))


if __name__ == "__main__":
    unittest.main()
